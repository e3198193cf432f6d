//! `cniConfig.cilium`: its fields, as EKS Anywhere checks them.

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::violation::Report;

const PATH: &str = "spec.clusterNetwork.cniConfig.cilium";
const NATIVE: [&str; 2] = ["ipv4NativeRoutingCIDR", "ipv6NativeRoutingCIDR"];

/// The names and kinds of the fields.
const FIELDS: [(&str, Kind); 8] = [
    (
        "policyEnforcementMode",
        Kind::OneOf(&["default", "always", "never"]),
    ),
    ("egressMasqueradeInterfaces", Kind::Text),
    ("skipUpgrade", Kind::Flag),
    ("routingMode", Kind::OneOf(&["overlay", "direct"])),
    ("ipv4NativeRoutingCIDR", Kind::Range { is_ipv4: true }),
    ("ipv6NativeRoutingCIDR", Kind::Range { is_ipv4: false }),
    ("cniExclusive", Kind::Flag),
    ("helmValues", Kind::Dict),
];

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Dict,
    OneOf(&'static [&'static str]),
    Range { is_ipv4: bool },
}

pub(super) fn check(config: &Value, report: &mut Report) {
    let Some(fields) = config.as_object() else {
        return report.add(PATH, "it is no dict", "write cilium: {}");
    };
    for (name, value) in fields {
        let path = format!("{PATH}.{name}");
        let Some((_, kind)) = FIELDS.iter().find(|(known, _)| known == name) else {
            let known = FIELDS.map(|(known, _)| known).join(", ");
            report.add(path, "there is no such field", format!("the fields are {known}"));
            continue;
        };
        if let Some((message, next_step)) = fault(*kind, value) {
            report.add(path, message, next_step);
        }
    }
    routing(fields, report);
    let is_given = |value: &Value| !matches!(value, Value::Null) && value.as_str() != Some("");
    let others = fields
        .iter()
        .find(|(name, value)| *name != "skipUpgrade" && is_given(value));
    if let (Some(Value::Bool(true)), Some((name, _))) = (fields.get("skipUpgrade"), others) {
        report.add(
            format!("{PATH}.{name}"),
            "with skipUpgrade the user manages Cilium, and no other field has an effect later",
            "remove this field, or skipUpgrade",
        );
    }
}

fn fault(kind: Kind, value: &Value) -> Option<(String, String)> {
    let said = |message: String, next_step: &str| Some((message, next_step.to_owned()));
    match (kind, value) {
        (_, Value::Null)
        | (Kind::Text, Value::String(_))
        | (Kind::Flag, Value::Bool(_))
        | (Kind::Dict, Value::Object(_)) => None,
        (Kind::OneOf(known), Value::String(text)) => {
            let right = text.is_empty() || known.contains(&text.as_str());
            (!right).then(|| {
                (
                    format!("{text:?} is not known"),
                    format!("write one of {}", known.join(", ")),
                )
            })
        }
        (Kind::Range { is_ipv4 }, Value::String(text)) => {
            let example = if is_ipv4 { "192.168.0.0/16" } else { "fd00::/48" };
            let fits = text
                .parse::<IpNet>()
                .is_ok_and(|range| matches!(range, IpNet::V4(_)) == is_ipv4);
            (!fits && !text.is_empty()).then(|| {
                (
                    format!("{text:?} is no CIDR of this family"),
                    format!("write one, such as {example}"),
                )
            })
        }
        (Kind::Flag, other) => said(
            format!("{other} is neither true nor false"),
            "write one of the two",
        ),
        (Kind::Dict, other) => said(
            format!("{other} is no dict"),
            "write the chart's values by their names",
        ),
        (_, other) => said(format!("{other} is no text"), "write a text"),
    }
}

/// Ranges belong to direct routing, which needs one.
fn routing(fields: &Map<String, Value>, report: &mut Report) {
    let text = |name: &str| {
        fields
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let is_direct = text("routingMode") == Some("direct");
    for name in NATIVE {
        if text(name).is_some() && !is_direct {
            report.add(
                format!("{PATH}.{name}"),
                "it belongs to direct routing, and the cluster has a tunnel between its nodes",
                "remove it, or write routingMode: direct",
            );
        }
    }
    if is_direct && text(NATIVE[0]).is_none() {
        report.add(
            format!("{PATH}.routingMode"),
            "direct routing needs to know which addresses are routed as they are",
            "write ipv4NativeRoutingCIDR, such as the range of the pods",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(config: Value) -> Vec<String> {
        let mut report = Report::new("Cluster", "shed");
        check(&config, &mut report);
        report
            .found
            .iter()
            .map(|found| found.path.replace(PATH, ""))
            .collect()
    }

    #[test]
    fn every_field_has_its_good_and_its_bad_value() {
        let values = [
            ("policyEnforcementMode", json!("always"), json!("sometimes")),
            ("egressMasqueradeInterfaces", json!("eth0"), json!(1)),
            ("skipUpgrade", json!(true), json!("true")),
            ("routingMode", json!("overlay"), json!("native")),
            ("ipv4NativeRoutingCIDR", json!(""), json!("fd00::/48")),
            ("ipv6NativeRoutingCIDR", json!(""), json!("10.0.0.0/8")),
            ("cniExclusive", json!(false), json!("no")),
            ("helmValues", json!({ "a": 1 }), json!([])),
        ];
        assert_eq!(
            values.each_ref().map(|(name, ..)| *name),
            FIELDS.map(|(name, _)| name)
        );
        for (name, good, bad) in values {
            assert_eq!(said(json!({ name: good })), [] as [&str; 0], "{name}");
            assert!(said(json!({ name: bad })).contains(&format!(".{name}")), "{name}");
        }
    }

    #[test]
    fn fields_that_do_not_go_together_are_named() {
        let none: [&str; 0] = [];
        let cidr = "10.244.0.0/16";
        for (config, wanted) in [
            (
                json!({ "routingMode": "direct", "ipv4NativeRoutingCIDR": cidr }),
                none.to_vec(),
            ),
            (json!({ "routingMode": "direct" }), vec![".routingMode"]),
            (
                json!({ "ipv4NativeRoutingCIDR": cidr }),
                vec![".ipv4NativeRoutingCIDR"],
            ),
            (
                json!({ "skipUpgrade": true, "helmValues": {} }),
                vec![".helmValues"],
            ),
            (
                json!({ "skipUpgrade": false, "cniExclusive": true }),
                none.to_vec(),
            ),
            (json!({ "nothing": 1 }), vec![".nothing"]),
            (json!([]), vec![""]),
        ] {
            assert_eq!(said(config.clone()), wanted, "{config}");
        }
    }
}
