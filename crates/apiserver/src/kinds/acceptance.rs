//! Which names of a definition are accepted, and its `status`. Pure.
//!
//! The rules are those of the naming controller of kube-apiserver: within a group no two definitions have a plural,
//! singular or short name in common, nor a kind or list kind. Who was accepted first keeps the name.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::meta::{Meta, as_map, time};

/// Names that the other definitions of a group have.
#[derive(Debug, Default)]
pub(crate) struct TakenNames {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl TakenNames {
    /// Collects them from the status of all definitions; `object` is the one that asks.
    pub(crate) fn beside<'a>(object: &Value, all: impl Iterator<Item = &'a Value>) -> TakenNames {
        let mut taken = TakenNames::default();
        let others = all.filter(|other| {
            other["spec"]["group"] == object["spec"]["group"] && other.name() != object.name()
        });
        for other in others {
            let names = &other["status"]["acceptedNames"];
            let text = |field: &str| names[field].as_str().filter(|name| !name.is_empty());
            let short = texts(&names["shortNames"]);
            let resources = [text("plural"), text("singular")].into_iter().flatten();
            taken.resources.extend(resources.chain(short).map(str::to_owned));
            let kinds = [text("kind"), text("listKind")].into_iter().flatten();
            taken.kinds.extend(kinds.map(str::to_owned));
        }
        taken
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Writes the `status`. `before` is the status that the server wrote last.
pub(crate) fn accept(object: &mut Value, before: &Value, taken: &TakenNames, now: Timestamp) {
    let (names, conflict) = accepted_names(&object["spec"]["names"], &before["acceptedNames"], taken);
    let was_established = has_condition(before, "Established");
    let named = match &conflict {
        None => ("True", "NoConflicts", "no conflicts found"),
        Some((reason, message)) => ("False", *reason, message.as_str()),
    };
    let established = if was_established || conflict.is_none() {
        (
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        )
    } else {
        ("False", "NotAccepted", "not all names are accepted")
    };
    let conditions = [
        condition(before, "NamesAccepted", named, now),
        condition(before, "Established", established, now),
    ];
    let versions = object["spec"]["versions"].as_array().into_iter().flatten();
    let storage = versions
        .filter(|v| v["storage"] == true)
        .map(|v| v["name"].clone())
        .next();
    let mut stored = object["status"]["storedVersions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    stored.extend(storage.filter(|name| !stored.contains(name)));
    let status = json!({"conditions": conditions, "acceptedNames": names, "storedVersions": stored});
    as_map(object).insert("status".to_owned(), status);
}

/// The names that a definition may have, and the last conflict.
fn accepted_names(
    wanted: &Value,
    had: &Value,
    taken: &TakenNames,
) -> (Value, Option<(&'static str, String)>) {
    let mut names = had.as_object().cloned().unwrap_or_default();
    let mut conflict = None;
    let is_free = |name: &str, had: &Value, taken: &BTreeSet<String>| had == name || !taken.contains(name);
    for (field, taken, reason) in [
        ("plural", &taken.resources, "PluralConflict"),
        ("singular", &taken.resources, "SingularConflict"),
        ("shortNames", &taken.resources, "ShortNamesConflict"),
        ("kind", &taken.kinds, "KindConflict"),
        ("listKind", &taken.kinds, "ListKindConflict"),
    ] {
        let value = &wanted[field];
        let clash = match value.as_str() {
            Some(name) => (!is_free(name, &had[field], taken)).then_some(name),
            None => {
                let own: Vec<&str> = texts(&had[field]).collect();
                texts(value).find(|name| !own.contains(name) && taken.contains(*name))
            }
        };
        match clash {
            Some(name) => conflict = Some((reason, format!("{name:?} is already in use"))),
            None => set(&mut names, field, value),
        }
    }
    set(&mut names, "categories", &wanted["categories"]);
    for required in ["plural", "kind"] {
        names.entry(required).or_insert_with(|| "".into());
    }
    (Value::Object(names), conflict)
}

fn set(names: &mut Map<String, Value>, field: &str, value: &Value) {
    if value.is_null() {
        names.remove(field);
    } else {
        names.insert(field.to_owned(), value.clone());
    }
}

/// A condition; it keeps its time while its status stays.
fn condition(before: &Value, kind: &str, now_is: (&str, &str, &str), now: Timestamp) -> Value {
    let (status, reason, message) = now_is;
    let mut old = before["conditions"].as_array().into_iter().flatten();
    let kept = old.find(|c| c["type"] == kind && c["status"] == status);
    let since = kept.map_or_else(|| time::stamp(now).into(), |c| c["lastTransitionTime"].clone());
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
}

fn has_condition(status: &Value, kind: &str) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| c["type"] == kind && c["status"] == "True")
}

/// True when a definition is in service.
pub(crate) fn is_established(object: &Value) -> bool {
    has_condition(&object["status"], "Established")
}

/// True when all its names are accepted.
pub(crate) fn names_accepted(object: &Value) -> bool {
    has_condition(&object["status"], "NamesAccepted")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({"metadata": {"name": format!("{plural}.x.y")}, "spec": {"group": "x.y",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind,
                "listKind": format!("{kind}List"), "shortNames": short},
            "versions": [{"name": "v1", "storage": true}]}})
    }

    fn accepted(mut object: Value, all: &[&Value]) -> Value {
        let before = object["status"].clone();
        let taken = TakenNames::beside(&object, all.iter().copied());
        accept(&mut object, &before, &taken, Timestamp::UNIX_EPOCH);
        object
    }

    fn reason(object: &Value) -> &str {
        object["status"]["conditions"][0]["reason"].as_str().unwrap()
    }

    #[test]
    fn the_first_keeps_its_names() {
        let first = accepted(definition("things", "Thing", &["th"]), &[]);
        assert!(is_established(&first) && names_accepted(&first));
        let list_kind = |mut object: Value| {
            object["spec"]["names"]["listKind"] = "ThingList".into();
            object
        };
        let singular = |mut object: Value| {
            object["spec"]["names"]["singular"] = "things".into();
            object
        };
        for (second, expected) in [
            (definition("others", "Other", &["ot"]), "NoConflicts"),
            (definition("others", "Other", &["ot", "th"]), "ShortNamesConflict"),
            (definition("others", "Thing", &[]), "ListKindConflict"),
            (list_kind(definition("others", "Other", &[])), "ListKindConflict"),
            (singular(definition("others", "Other", &[])), "SingularConflict"),
        ] {
            let second = accepted(second, &[&first]);
            assert_eq!(reason(&second), expected);
            assert_eq!(is_established(&second), expected == "NoConflicts", "{second}");
            // What was established stays so.
            let again = accepted(first.clone(), &[&first, &second]);
            assert_eq!(again, first);
            // When the first goes, the second has its turn.
            assert!(is_established(&accepted(second, &[])));
        }
    }

    #[test]
    fn a_conflict_of_a_later_change_leaves_the_old_names_in_service() {
        let first = accepted(definition("things", "Thing", &["th"]), &[]);
        let mut second = accepted(definition("others", "Other", &["ot"]), &[&first]);
        second["spec"]["names"]["shortNames"] = json!(["th"]);
        let second = accepted(second, &[&first]);
        assert!(is_established(&second) && !names_accepted(&second));
        assert_eq!(second["status"]["acceptedNames"]["shortNames"], json!(["ot"]));
    }

    #[test]
    fn stored_versions_are_kept() {
        let mut object = accepted(definition("things", "Thing", &[]), &[]);
        object["spec"]["versions"] = json!([{"name": "v1"}, {"name": "v2", "storage": true}]);
        let object = accepted(object, &[]);
        assert_eq!(object["status"]["storedVersions"], json!(["v1", "v2"]));
    }
}
