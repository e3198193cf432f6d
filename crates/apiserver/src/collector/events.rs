//! How long Events live.

use jiff::Timestamp;
use serde_json::Value;

use crate::meta::Meta;

/// Life of an Event after it was counted last.
const LIFE_SECONDS: i64 = 3600;

/// Whether an Event was made, and counted on last, an hour before `now`.
pub(super) fn is_over(event: &Value, now: Timestamp) -> bool {
    let last = event["lastTimestamp"].as_str();
    let last = last.unwrap_or_else(|| event.meta_str("creationTimestamp"));
    last.parse::<Timestamp>()
        .is_ok_and(|last| last.as_second() < now.as_second() - LIFE_SECONDS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_lives_from_its_last_count() {
        let now = "2026-01-01T02:00:00Z".parse::<Timestamp>().unwrap();
        let event = |made: &str, last: Option<&str>| json!({"metadata": {"creationTimestamp": made}, "lastTimestamp": last});
        let (old, new) = ("2026-01-01T00:59:59Z", "2026-01-01T01:00:00Z");
        for (made, last, expected) in [
            (old, None, true),
            (new, None, false),
            (old, Some(old), true),
            (old, Some(new), false),
            ("", None, false),
        ] {
            assert_eq!(is_over(&event(made, last), now), expected, "{made} {last:?}");
        }
    }
}
