//! A machine's serial console on the terminal. Ctrl-] leaves it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::Error;
use crate::status::{find, tail};

/// Ctrl-].
const ESCAPE: u8 = 0x1d;
/// How much of what was written before is shown.
const HISTORY: u64 = 8 * 1024;

/// Shows the console of a machine until the user leaves; waits while the machine is off. Blocks its thread.
pub fn console(id: Option<&str>, name: &str, root: Option<&Path>) -> Result<(), Error> {
    let (plan, paths, _) = find(id, root)?;
    let machine = plan.machine(name).ok_or_else(|| Error::NoMachine {
        id: plan.id.clone(),
        name: name.to_owned(),
        known: plan
            .machines
            .iter()
            .map(|machine| machine.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    let socket = paths.console_socket(machine);
    let failed = || Error::file("writing the console of", &socket);
    let mut out = std::io::stdout();
    out.write_all(&tail(&paths.console_log(machine), HISTORY))
        .map_err(failed())?;
    let _raw = RawTerminal::enter();
    let line = Arc::new(Line::default());
    std::thread::spawn({
        let line = Arc::clone(&line);
        move || type_in(&line)
    });
    let mut told = false;
    while !line.left.load(Ordering::SeqCst) {
        let Ok(stream) = UnixStream::connect(&socket) else {
            if !std::mem::replace(&mut told, true) {
                out.write_all(format!("\r\n[{name} is off; waiting; Ctrl-] leaves]\r\n").as_bytes())
                    .map_err(failed())?;
                out.flush().map_err(failed())?;
            }
            std::thread::sleep(Duration::from_millis(200));
            continue;
        };
        told = false;
        if let Err(error) = show(stream, &line, &mut out) {
            return Err(failed()(error));
        }
    }
    Ok(())
}

/// The connection of the moment, shared with the thread that reads the keyboard.
#[derive(Default)]
struct Line {
    left: AtomicBool,
    stream: Mutex<Option<UnixStream>>,
}

impl Line {
    fn put(&self, stream: Option<UnixStream>) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }
}

/// Copies from the machine until it closes; errors of the machine's end just end it.
fn show(mut stream: UnixStream, line: &Line, out: &mut impl std::io::Write) -> std::io::Result<()> {
    line.put(stream.try_clone().ok());
    let mut buffer = [0u8; 4096];
    while !line.left.load(Ordering::SeqCst) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                out.write_all(buffer.get(..count).unwrap_or_default())?;
                out.flush()?;
            }
        }
    }
    line.put(None);
    Ok(())
}

/// Copies from the keyboard; typing at a machine that is off goes nowhere.
fn type_in(line: &Line) {
    let mut input = std::io::stdin();
    let mut buffer = [0u8; 256];
    while let Ok(count) = input.read(&mut buffer) {
        let typed = buffer.get(..count).unwrap_or_default();
        if typed.is_empty() {
            return;
        }
        let mut held = line.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if typed.contains(&ESCAPE) {
            line.left.store(true, Ordering::SeqCst);
            if let Some(stream) = held.take() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            return;
        }
        if let Some(stream) = &mut *held {
            let _ = stream.write_all(typed);
        }
    }
}

/// The terminal without line editing and signals, put back when dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Self {
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw);
        }
        Self(before)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
