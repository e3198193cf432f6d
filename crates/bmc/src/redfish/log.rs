//! The event log: the log services of the system, or of its managers where it has none (DSP0268, `LogService`, `LogEntry`).

use jiff::Timestamp;
use resources::Time;
use resources::bmc::{BmcEvent, BmcProtocol, BmcReport};
use serde_json::Value;

use super::Redfish;
use super::loose::{link, severity, text};
use crate::Error;

const MAX_SERVICES: usize = 16;
/// Entries of one service that are read.
const MAX_ENTRIES: usize = 2048;
/// Entries that are kept, the newest ones.
const KEPT: usize = 512;

impl Redfish {
    pub(super) async fn read_log(&self) -> Result<BmcReport, Error> {
        let system = self.system_document().await?;
        let mut report = BmcReport::new(BmcProtocol::Redfish);
        let services = self.log_services(&system, &mut report.notes).await?;
        let entries: Vec<&str> = chosen(&services)
            .into_iter()
            .filter_map(|service| link(service, "Entries"))
            .collect();
        if entries.is_empty() {
            return Err(self.missing(
                "event log",
                "neither the system nor its managers have log entries",
            ));
        }
        for path in entries {
            let found = self
                .members(path, "entries of the log", MAX_ENTRIES, &mut report.notes)
                .await?;
            report.events.extend(found.iter().filter_map(event));
        }
        // The order of entries is not laid down. Those without a time come first.
        report
            .events
            .sort_by_key(|event| event.at.as_ref().map(|at| at.0));
        let surplus = report.events.len().saturating_sub(KEPT);
        if surplus > 0 {
            report.events.drain(..surplus);
            report
                .notes
                .push(format!("the newest {KEPT} of {} entries", surplus + KEPT));
        }
        Ok(report)
    }

    /// The log services of the system; where it has none, of its managers.
    pub(super) async fn log_services(
        &self,
        system: &Value,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Value>, Error> {
        if let Some(path) = link(system, "LogServices") {
            let found = self.members(path, "log services", MAX_SERVICES, notes).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let mut found = Vec::new();
        for manager in self.managers(system, notes).await? {
            if let Some(path) = link(&manager, "LogServices") {
                found.extend(self.members(path, "log services", MAX_SERVICES, notes).await?);
            }
        }
        Ok(found)
    }
}

/// The services of the system event log, or all where none says that it is one.
fn chosen(services: &[Value]) -> Vec<&Value> {
    let is_sel = |service: &&Value| service.get("LogEntryType").and_then(Value::as_str) == Some("SEL");
    let sel: Vec<&Value> = services.iter().filter(is_sel).collect();
    if sel.is_empty() {
        services.iter().collect()
    } else {
        sel
    }
}

fn event(document: &Value) -> Option<BmcEvent> {
    let at = document.get("Created").and_then(Value::as_str);
    let at = at.and_then(|text| text.parse::<Timestamp>().ok()).map(Time);
    Some(BmcEvent {
        id: text(document, "Id").unwrap_or_else(|| "?".to_owned()),
        at,
        severity: severity(document.get("Severity").and_then(Value::as_str)),
        source: text(document, "SensorType"),
        text: text(document, "Message").or_else(|| text(document, "MessageId"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use resources::bmc::Health;
    use serde_json::json;

    #[test]
    fn entries() {
        let entry = json!({"Id": "7", "Created": "2026-01-01T01:00:00+01:00", "Severity": "Critical", "SensorType": "Temperature",
            "Message": "too hot\u{7}"});
        let told = event(&entry).unwrap();
        assert_eq!(
            (told.text.as_str(), told.severity),
            (r"too hot\u{7}", Health::Critical)
        );
        assert_eq!(told.at.unwrap().0.to_string(), "2026-01-01T00:00:00Z");
        assert!(event(&json!({"Id": "8", "Created": "yesterday"})).is_none());
        let dated = event(&json!({"Id": "8", "Created": "yesterday", "MessageId": "x"})).unwrap();
        assert!(dated.at.is_none() && dated.severity == Health::Unknown);
    }

    #[test]
    fn services() {
        let (sel, audit) = (json!({"LogEntryType": "SEL"}), json!({"Id": "audit"}));
        let both = [audit.clone(), sel.clone()];
        assert_eq!(chosen(&both), [&sel]);
        assert_eq!(chosen(std::slice::from_ref(&audit)), [&audit]);
    }
}
