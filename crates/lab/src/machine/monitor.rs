//! QEMU's monitor protocol (QMP): commands with their answers, and events in order.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// QEMU answers at once unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// What the guest or QEMU did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The machine was reset, by the guest or through its BMC.
    Reset,
    /// QEMU ends. True: the guest asked for a reset, and resets end this process.
    Shutdown {
        guest_reset: bool,
    },
    Other,
}

#[derive(Debug)]
pub(super) struct Monitor {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    events: VecDeque<Event>,
}

impl Monitor {
    /// Connects once the socket is there; the caller limits how long.
    pub(super) async fn connect(path: &Path) -> Result<Self, String> {
        let stream = loop {
            match UnixStream::connect(path).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let (reader, writer) = stream.into_split();
        let mut monitor = Self {
            lines: BufReader::new(reader).lines(),
            writer,
            events: VecDeque::new(),
        };
        monitor.line().await?;
        monitor.execute("qmp_capabilities", Value::Null).await?;
        Ok(monitor)
    }

    /// Runs a command and waits for its answer.
    pub(super) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, String> {
        timeout(LIMIT, self.exchange(command, arguments))
            .await
            .unwrap_or_else(|_| Err(format!("no answer to {command} within {} s", LIMIT.as_secs())))
    }

    async fn exchange(&mut self, command: &str, arguments: Value) -> Result<Value, String> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        self.writer
            .write_all(format!("{request}\n").as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        loop {
            let mut answer = self.line().await?;
            if let Some(event) = event_of(&answer) {
                self.events.push_back(event);
            } else if let Some(error) = answer.get("error") {
                return Err(format!(
                    "{command}: {}",
                    error.get("desc").and_then(Value::as_str).unwrap_or("refused")
                ));
            } else {
                return Ok(answer.get_mut("return").map(Value::take).unwrap_or_default());
            }
        }
    }

    /// The next event; `None` when QEMU has closed the monitor. May be cancelled without loss.
    pub(super) async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let line = self.lines.next_line().await.ok()??;
            if let Some(event) = serde_json::from_str(&line).ok().as_ref().and_then(event_of) {
                return Some(event);
            }
        }
    }

    async fn line(&mut self) -> Result<Value, String> {
        let line = self
            .lines
            .next_line()
            .await
            .map_err(|error| error.to_string())?
            .ok_or("monitor closed")?;
        serde_json::from_str(&line).map_err(|error| error.to_string())
    }
}

fn event_of(message: &Value) -> Option<Event> {
    let name = message.get("event")?.as_str()?;
    let data = message.get("data");
    let reason = data
        .and_then(|data| data.get("reason"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    Some(match name {
        "RESET" => Event::Reset,
        "SHUTDOWN" => Event::Shutdown {
            guest_reset: reason == "guest-reset",
        },
        _ => Event::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        for (text, expected) in [
            (json!({"return": {}}), None),
            (
                json!({"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}),
                Some(Event::Reset),
            ),
            (
                json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}),
                Some(Event::Shutdown { guest_reset: true }),
            ),
            (
                json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}),
                Some(Event::Shutdown { guest_reset: false }),
            ),
            (json!({"event": "STOP"}), Some(Event::Other)),
        ] {
            assert_eq!(event_of(&text), expected, "{text}");
        }
    }
}
