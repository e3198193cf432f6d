use serde_json::json;
use tonic::Code;

use super::Admission;
use crate::fault::Fault;
use crate::json::to_struct;
use crate::sdk::Schemas;
use crate::v1::{
    Capability, Disk, GetInfoResponse, Limits, Nic, Owner, Scope, Spec, Userdata, UserdataFormat,
};

fn admission(capabilities: &[Capability]) -> Admission {
    let object = || json!({"type": "object"});
    let schemas = Schemas {
        scope: json!({"type": "object", "required": ["server/name"]}),
        secret: json!({
            "type": "object", "required": ["password"],
            "properties": {"password": {"type": "string", "minLength": 9}},
        }),
        machine: json!({"type": "object", "properties": {"tier": {"enum": ["plain"]}}}),
        image: object(),
        identity: object(),
        version: 1,
    };
    let info = GetInfoResponse {
        capabilities: capabilities
            .iter()
            .map(|capability| (*capability).into())
            .collect(),
        limits: Some(Limits {
            max_userdata_bytes: 3,
            formats: vec![UserdataFormat::Raw.into()],
            max_name_len: 5,
            name_regex: "[a-z]+".to_owned(),
            ..Limits::default()
        }),
        ..GetInfoResponse::default()
    };
    Admission::new(&schemas, info).expect("the description is right")
}

/// Code and field of a refusal.
fn refused(result: Result<(), Fault>) -> (Code, String) {
    let fault = result.expect_err("it is refused");
    assert!(!fault.is_outcome_unknown(), "nothing was sent");
    (fault.code, fault.detail.field.clone())
}

fn invalid(field: &str) -> (Code, String) {
    (Code::InvalidArgument, field.to_owned())
}

fn provider(value: serde_json::Value) -> Option<prost_types::Struct> {
    Some(to_struct(value.as_object().expect("an object")))
}

#[test]
fn what_needs_a_capability_is_refused_without_it() {
    let nic = |addresses: &[&str]| Nic {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        ..Nic::default()
    };
    let rows = [
        (
            Capability::MultiNic,
            "nics",
            Spec {
                nics: vec![nic(&[]), nic(&[])],
                ..Spec::default()
            },
        ),
        (
            Capability::StaticIps,
            "nics",
            Spec {
                nics: vec![nic(&["10.0.0.2/24"])],
                ..Spec::default()
            },
        ),
        (
            Capability::DataDisks,
            "disks",
            Spec {
                disks: vec![Disk::default()],
                ..Spec::default()
            },
        ),
        (
            Capability::FailureDomains,
            "failure_domain",
            Spec {
                failure_domain: "a".to_owned(),
                ..Spec::default()
            },
        ),
        (
            Capability::Affinity,
            "affinity_keys",
            Spec {
                affinity_keys: vec!["a".to_owned()],
                ..Spec::default()
            },
        ),
    ];
    for (capability, field, spec) in rows {
        let without = admission(&[]).spec("/spec", Some(&spec));
        assert_eq!(
            refused(without),
            invalid(&format!("/spec/{field}")),
            "{capability:?}"
        );
        assert_eq!(
            admission(&[capability]).spec("/spec", Some(&spec)),
            Ok(()),
            "{capability:?}"
        );
        let call = admission(&[]).require(capability, "Call");
        assert_eq!(refused(call).0, Code::Unimplemented, "{capability:?}");
        assert_eq!(admission(&[capability]).require(capability, "Call"), Ok(()));
    }
}

#[test]
fn limits_and_schemas_name_their_field() {
    let admission = admission(&[]);
    let userdata = |format: UserdataFormat, data: &str| Spec {
        userdata: Some(Userdata {
            format: format.into(),
            data: data.into(),
            metadata: Vec::new(),
        }),
        ..Spec::default()
    };
    let spec = |spec: &Spec| admission.spec("/specs/0", Some(spec));
    assert_eq!(spec(&userdata(UserdataFormat::Raw, "abc")), Ok(()));
    assert_eq!(
        refused(spec(&userdata(UserdataFormat::Raw, "abcd"))),
        invalid("/specs/0/userdata/data")
    );
    assert_eq!(
        refused(spec(&userdata(UserdataFormat::Ignition, "a"))),
        invalid("/specs/0/userdata/format")
    );
    let tier = Spec {
        provider: provider(json!({"tier": "fast"})),
        ..Spec::default()
    };
    assert_eq!(refused(spec(&tier)), invalid("/specs/0/provider/tier"));
    assert_eq!(refused(admission.spec("/spec", None)), invalid("/spec"));

    for (name, fits) in [
        ("abc", true),
        ("", false),
        ("abcdef", false),
        ("ab-", false),
        ("abc\n", false),
    ] {
        let owner = Owner {
            machine_name: name.to_owned(),
            ..Owner::default()
        };
        let checked = admission.name(Some(&owner));
        assert_eq!(checked.is_ok(), fits, "{name:?}");
        if !fits {
            assert_eq!(refused(checked), invalid("/owner/machine_name"), "{name:?}");
        }
    }
}

#[test]
fn a_missing_field_is_named_and_a_secret_is_not_told() {
    let admission = admission(&[]);
    let scope = |config: serde_json::Value, password: Option<&str>| Scope {
        config: provider(config),
        secrets: password
            .map(|text| ("password".to_owned(), text.into()))
            .into_iter()
            .collect(),
        ..Scope::default()
    };
    let good = scope(json!({"server/name": "a"}), Some("long enough"));
    assert_eq!(admission.scope(Some(&good)), Ok(()));
    let without = scope(json!({}), Some("long enough"));
    assert_eq!(
        refused(admission.scope(Some(&without))),
        invalid("/scope/config/server~1name")
    );
    let without = scope(json!({"server/name": "a"}), None);
    assert_eq!(
        refused(admission.scope(Some(&without))),
        invalid("/scope/secrets/password")
    );
    let short = admission.scope(Some(&scope(json!({"server/name": "a"}), Some("Sw0rdf1"))));
    let fault = short.expect_err("it is too short");
    assert!(!fault.message.contains("Sw0rdf1"), "{}", fault.message);
}

#[tokio::test]
async fn a_drain_waits_for_calls_and_lets_no_other_begin() {
    let admission = admission(&[]);
    let call = admission.begin().expect("it does not drain yet");
    let drain = admission.drain();
    tokio::pin!(drain);
    assert!(futures::poll!(drain.as_mut()).is_pending(), "a call is under way");
    let refused = admission.begin().expect_err("it drains");
    assert_eq!(refused.code, Code::Unavailable);
    assert_eq!(admission.calls(), 1);
    drop(call);
    drain.await;
    assert_eq!(admission.calls(), 0);
}
