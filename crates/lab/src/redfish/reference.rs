//! What many documents have in common.

use serde_json::{Value, json};

pub(super) fn collection(kind: &str, members: &[&str]) -> Value {
    json!({
        "@odata.type": format!("#{kind}Collection.{kind}Collection"), "Name": format!("{kind} Collection"),
        "Members@odata.count": members.len(), "Members": members.iter().map(|id| link(id)).collect::<Vec<_>>(),
    })
}

pub(super) fn link(id: &str) -> Value {
    json!({ "@odata.id": id })
}

pub(super) fn healthy() -> Value {
    json!({ "State": "Enabled", "Health": "OK" })
}
