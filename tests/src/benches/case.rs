//! One figure of a benchmark: our runs, the peer's runs next to them, and the goal.

use serde::Serialize;

/// What a figure is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Our median is at most this.
    AtMost(f64),
    /// We take at most so many times what the peer takes.
    RatioAtMost(f64),
    /// We reach at least so many times what the peer reaches.
    RatioAtLeast(f64),
}

/// Several runs of one figure.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    name: String,
    unit: &'static str,
    runs: Vec<f64>,
    goal: Goal,
    peer: Option<Peer>,
}

/// What does the same in the same run: each of its runs is next to one of ours.
#[derive(Debug, Clone)]
struct Peer {
    name: &'static str,
    runs: Vec<f64>,
}

#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    case: &'a str,
    unit: &'a str,
    ours: f64,
    peer: Option<f64>,
    peer_name: Option<&'a str>,
    ratio: Option<f64>,
    goal: f64,
    met: bool,
}

/// Minimum, median and maximum.
fn spread(runs: &[f64]) -> (f64, f64, f64) {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

fn median(runs: &[f64]) -> f64 {
    spread(runs).1
}

impl Case {
    /// A figure without a peer.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, runs: Vec<f64>, goal: Goal) -> Case {
        Case {
            name: name.into(),
            unit,
            runs,
            goal,
            peer: None,
        }
    }

    /// The same with a peer's runs.
    pub(crate) fn beside(self, name: &'static str, runs: Vec<f64>) -> Case {
        Case {
            peer: Some(Peer { name, runs }),
            ..self
        }
    }

    fn met(&self) -> bool {
        let ratio = self.ratio();
        match self.goal {
            Goal::AtMost(most) => median(&self.runs) <= most,
            Goal::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
            Goal::RatioAtLeast(least) => ratio.is_some_and(|ratio| ratio >= least),
        }
    }

    /// The median of the ratios of runs next to each other.
    fn ratio(&self) -> Option<f64> {
        let peer = self.peer.as_ref()?;
        let pairs = self.runs.iter().zip(&peer.runs);
        let ratios: Vec<f64> = pairs.map(|(ours, peer)| ours / peer).collect();
        // No ratio to nothing.
        Some(median(&ratios)).filter(|ratio| ratio.is_finite())
    }

    /// The goal as a figure of the case's unit: a ratio becomes that many times the peer's median.
    fn goal(&self) -> f64 {
        let peer = self.peer.as_ref().map_or(f64::NAN, |peer| median(&peer.runs));
        match self.goal {
            Goal::AtMost(most) => most,
            Goal::RatioAtMost(ratio) | Goal::RatioAtLeast(ratio) => ratio * peer,
        }
    }

    /// One line of a table.
    pub(super) fn row(&self, bench: &str) -> String {
        let (min, median, max) = spread(&self.runs);
        let goal = match self.goal {
            Goal::AtMost(most) => format!("<= {}", short(most)),
            Goal::RatioAtMost(ratio) => format!("ratio <= {ratio}"),
            Goal::RatioAtLeast(ratio) => format!("ratio >= {ratio}"),
        };
        let met = if self.met() { "met" } else { "MISSED" };
        let ratio = self
            .ratio()
            .map_or_else(String::new, |ratio| format!(", ratio {ratio:.3}"));
        let peer = self.peer.as_ref().map_or_else(
            || "no peer".to_owned(),
            |peer| {
                let (min, median, max) = spread(&peer.runs);
                let [min, median, max] = [min, median, max].map(short);
                format!("{} {median} ({min} to {max}){ratio}", peer.name)
            },
        );
        let spread = format!("({} to {}, runs {})", short(min), short(max), self.runs.len());
        format!(
            "{bench:9} {:40} {:>8} {:9} {spread:26} goal {goal:14} {met:6}  {peer}",
            self.name,
            short(median),
            self.unit,
        )
    }

    /// One line of JSON.
    pub(super) fn line(&self, bench: &str) -> anyhow::Result<String> {
        let peer = self.peer.as_ref();
        let line = Line {
            bench,
            case: &self.name,
            unit: self.unit,
            ours: median(&self.runs),
            peer: peer.map(|peer| median(&peer.runs)),
            peer_name: peer.map(|peer| peer.name),
            ratio: self.ratio(),
            goal: self.goal(),
            met: self.met(),
        };
        Ok(serde_json::to_string(&line)?)
    }
}

/// A figure with as many places as say something.
fn short(figure: f64) -> String {
    let places = match figure.abs() {
        large if large >= 1000.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 3,
    };
    let text = format!("{figure:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Runs of each case.
pub(crate) const RUNS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn json(case: &Case) -> serde_json::Value {
        serde_json::from_str(&case.line("b").unwrap()).unwrap()
    }

    #[test]
    fn the_median_is_judged() {
        let runs = vec![9.0, 1.0, 3.0];
        assert_eq!(spread(&runs), (1.0, 3.0, 9.0));
        let case = Case::new("x", "ms", runs.clone(), Goal::AtMost(3.0));
        assert!(case.row("b").contains(" met "), "{}", case.row("b"));
        let value = json(&case);
        assert_eq!(
            (value["ours"].as_f64(), value["goal"].as_f64()),
            (Some(3.0), Some(3.0))
        );
        assert_eq!(
            (value["met"].as_bool(), value["ratio"].as_f64()),
            (Some(true), None)
        );
        let case = Case::new("x", "ms", runs, Goal::AtMost(2.9)).beside("other", vec![6.0; 3]);
        assert!(case.row("b").contains(" MISSED "));
        let value = json(&case);
        assert_eq!(
            (value["ratio"].as_f64(), value["peer_name"].as_str()),
            (Some(0.5), Some("other"))
        );
    }

    /// The medians' ratio would be 0.5; of each pair we take less than that only in one of three.
    #[test]
    fn pairs_are_compared() {
        let judged =
            |goal| Case::new("x", "ms", vec![1.0, 2.0, 9.0], goal).beside("other", vec![1.0, 10.0, 4.0]);
        assert_eq!(judged(Goal::AtMost(0.0)).ratio(), Some(1.0));
        assert!(judged(Goal::RatioAtMost(1.0)).met() && !judged(Goal::RatioAtMost(0.9)).met());
        assert!(judged(Goal::RatioAtLeast(1.0)).met() && !judged(Goal::RatioAtLeast(1.1)).met());
        assert_eq!(json(&judged(Goal::RatioAtMost(0.5)))["goal"].as_f64(), Some(2.0));
        let alone = Case::new("x", "ms", vec![1.0], Goal::RatioAtMost(1.0));
        assert!(!alone.met(), "no peer, no ratio");
    }

    #[test]
    fn figures_keep_what_they_say() {
        assert_eq!(
            [0.186, 12.345, 2345.6, 100.0, 0.0].map(short),
            ["0.186", "12.3", "2346", "100", "0"]
        );
    }
}
