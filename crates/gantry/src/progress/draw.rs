//! Drawing: bars when a person watches, a line at each change when not; every change also goes to the log file.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::view::{MachineRow, View};
use crate::output;

/// What is drawn on.
pub(crate) struct Screen {
    bars: Option<Bars>,
    log: Option<File>,
    /// The last line told of the cluster (key "") and of each machine.
    told: BTreeMap<String, String>,
}

struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    machines: BTreeMap<String, ProgressBar>,
}

impl Screen {
    /// A screen; a log file that cannot be opened is told and done without.
    pub(crate) fn new(log: Option<&Path>) -> Screen {
        let log = log.and_then(|path| {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.map_err(|error| output::note(format!("no log file {}: {error}", path.display())))
                .ok()
        });
        let bars = output::interactive().then(Bars::new);
        Screen {
            bars,
            log,
            told: BTreeMap::new(),
        }
    }

    /// A line that stays.
    pub(crate) fn say(&mut self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.all.println(text)),
            None => output::note(text),
        }
        self.log(text);
    }

    /// Shows how far everything is.
    pub(crate) fn show(&mut self, view: &View) {
        if let Some(bars) = &mut self.bars {
            bars.show(view);
        }
        self.tell("", &view.headline);
        for machine in &view.machines {
            self.tell(&machine.name, &line(machine));
        }
    }

    /// Asks the person who watches; everything but a yes is a no. It blocks until there is an answer.
    pub(crate) fn ask(&self, question: &str) -> bool {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| output::confirmed(question)),
            None => output::confirmed(question),
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn end(self) {
        if let Some(bars) = self.bars {
            drop(bars.all.clear());
        }
    }

    fn tell(&mut self, key: &str, text: &str) {
        let essence = essence(text);
        if self.told.get(key).is_some_and(|last| *last == essence) {
            return;
        }
        self.told.insert(key.to_owned(), essence);
        if self.bars.is_none() {
            output::note(text);
        }
        self.log(text);
    }

    fn log(&mut self, text: &str) {
        if let Some(file) = &mut self.log {
            // The log is a convenience; a full disk does not stop the watching.
            let _ = writeln!(file, "{} {text}", Timestamp::now());
        }
    }
}

impl Bars {
    fn new() -> Bars {
        let all = MultiProgress::new();
        let head = all.add(ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        head.enable_steady_tick(std::time::Duration::from_millis(200));
        Bars {
            all,
            head,
            machines: BTreeMap::new(),
        }
    }

    fn show(&mut self, view: &View) {
        self.head.set_message(view.headline.clone());
        for machine in &view.machines {
            let all = &self.all;
            let bar = self.machines.entry(machine.name.clone()).or_insert_with(|| {
                all.add(ProgressBar::new(100).with_style(style("  {prefix:32} {bar:20} {msg}")))
            });
            bar.set_prefix(format!("{} {}", machine.name, machine.host));
            bar.set_position(u64::from(machine.percent.unwrap_or_default()));
            bar.set_message(format!(
                "{:11} {:>7}  {}",
                machine.state, machine.elapsed, machine.reason
            ));
        }
        self.machines.retain(|name, bar| {
            let stays = view.machines.iter().any(|machine| machine.name == *name);
            if !stays {
                bar.finish_and_clear();
            }
            stays
        });
    }
}

/// A template of ours cannot be wrong at run time; a test proves it.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A machine in one line.
fn line(machine: &MachineRow) -> String {
    let percent = machine
        .percent
        .map_or(String::new(), |percent| format!(" {percent} %"));
    let reason = if machine.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", machine.reason)
    };
    format!(
        "{} ({}): {}{percent}{reason}",
        machine.name, machine.host, machine.state
    )
}

/// What counts as a change: the words without deadlines, and of each percentage only its tens.
fn essence(text: &str) -> String {
    let text = text.split(" (deadline").next().unwrap_or(text);
    let words: Vec<&str> = text.split(' ').collect();
    let coarse = |at: usize, word: &str| match word.parse::<u8>() {
        Ok(percent) if words.get(at + 1).is_some_and(|next| next.starts_with('%')) => {
            (percent / 10).to_string()
        }
        _ => word.to_owned(),
    };
    words
        .iter()
        .enumerate()
        .map(|(at, word)| coarse(at, word))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for template in ["{spinner} {msg}", "  {prefix:32} {bar:20} {msg}"] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn only_tenths_are_changes() {
        let row = |percent| MachineRow {
            name: "m".into(),
            host: "h".into(),
            state: "installing".into(),
            percent: Some(percent),
            reason: "stream-image".into(),
            elapsed: "1s".into(),
        };
        assert_eq!(essence(&line(&row(41))), essence(&line(&row(49))));
        assert_ne!(essence(&line(&row(49))), essence(&line(&row(50))));
        assert_eq!(line(&row(50)), "m (h): installing 50 %: stream-image");
        assert_eq!(
            essence("runs: 2 %, writing (deadline in 5s)"),
            essence("runs: 9 %, writing (deadline in 1s)")
        );
    }
}
