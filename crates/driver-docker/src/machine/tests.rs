//! Tests of what containers are made of.

use driver::json;
use driver::v1::{Nic, Owner, Reason, Spec};
use serde_json::{Value, json};

use super::{Machine, only, reference};
use crate::daemon::{ApiVersion, Network};
use crate::schemas;
use crate::scope::{Privileges, ScopeConfig};

fn lan() -> Network {
    network(json!({
        "Name": "lan", "Id": "5abf", "Driver": "bridge",
        "IPAM": {"Config": [{"Subnet": "172.30.0.0/24", "Gateway": "172.30.0.1"}, {"Subnet": "fd00:1::/64"}]},
    }))
}

fn network(answer: Value) -> Network {
    serde_json::from_value(answer).unwrap()
}

fn spec() -> Spec {
    Spec {
        vcpus: 2,
        memory_mib: 512,
        image_ref: "node:v1".to_owned(),
        ..Spec::default()
    }
}

fn body(spec: &Spec, scope: &ScopeConfig, api: ApiVersion) -> Result<Value, driver::Fault> {
    let owner = Owner {
        machine_name: "prod-x".to_owned(),
        ..Owner::default()
    };
    Machine::read(spec, "/spec")?.body((&owner, "hash"), scope, &lan(), api)
}

const OLD: ApiVersion = ApiVersion(1, 41);
const NEW: ApiVersion = ApiVersion(1, 44);

#[test]
fn limits_and_privileges_are_those_of_spec_and_scope() {
    let mut scope = ScopeConfig::default();
    let made = body(&spec(), &scope, OLD).unwrap();
    let host = &made["HostConfig"];
    assert_eq!(host["Memory"], 512 << 20);
    assert_eq!(host["NanoCpus"], 2_000_000_000_u64);
    assert_eq!(host["Privileged"], true);
    assert_eq!(host["CapAdd"], Value::Null);
    assert_eq!(made["Entrypoint"], Value::Null, "the image's own");
    assert_eq!(made["Hostname"], "prod-x");
    scope.privileges = Privileges::Capabilities;
    scope.drop_capabilities = vec!["SYS_RESOURCE".to_owned()];
    let made = body(&spec(), &scope, OLD).unwrap();
    assert_eq!(made["HostConfig"]["CapAdd"], json!(["ALL"]));
    assert_eq!(made["HostConfig"]["CapDrop"], json!(["SYS_RESOURCE"]));
    assert_eq!(made["HostConfig"]["Privileged"], Value::Null);
    scope.privileges = Privileges::None;
    scope.drop_capabilities.clear();
    let made = body(&spec(), &scope, OLD).unwrap();
    assert_eq!(made["HostConfig"]["CapAdd"], Value::Null);
    assert_eq!(made["HostConfig"]["SecurityOpt"], Value::Null);
}

#[test]
fn process_1_and_its_signal_are_those_of_the_settings() {
    let mut spec = spec();
    let settings =
        json!({"command": ["/sbin/init", "--unit=x"], "stopSignal": "SIGRTMIN+3", "binds": ["/a:/b:ro"]});
    spec.provider = settings.as_object().map(json::to_struct);
    let made = body(&spec, &ScopeConfig::default(), OLD).unwrap();
    assert_eq!(made["Entrypoint"], settings["command"]);
    assert_eq!(made["StopSignal"], "SIGRTMIN+3");
    assert_eq!(made["HostConfig"]["Binds"], settings["binds"]);
}

#[test]
fn a_nic_has_addresses_of_its_network_and_its_mac_where_the_api_wants_it() {
    let mut spec = spec();
    spec.nics = vec![Nic {
        mac: "02:00:00:00:00:05".to_owned(),
        addresses: vec!["172.30.0.5/24".to_owned(), "fd00:1::5/64".to_owned()],
        gateway: "172.30.0.1".to_owned(),
        dns: vec!["172.30.0.1".to_owned()],
        ..Nic::default()
    }];
    let scope = ScopeConfig::default();
    let made = body(&spec, &scope, OLD).unwrap();
    let endpoint = &made["NetworkingConfig"]["EndpointsConfig"]["lan"];
    assert_eq!(
        endpoint["IPAMConfig"],
        json!({"IPv4Address": "172.30.0.5", "IPv6Address": "fd00:1::5"})
    );
    assert_eq!(endpoint["MacAddress"], Value::Null);
    assert_eq!(made["MacAddress"], "02:00:00:00:00:05");
    assert_eq!(made["HostConfig"]["Dns"], json!(["172.30.0.1"]));
    let made = body(&spec, &scope, NEW).unwrap();
    assert_eq!(made["MacAddress"], Value::Null);
    assert_eq!(
        made["NetworkingConfig"]["EndpointsConfig"]["lan"]["MacAddress"],
        "02:00:00:00:00:05"
    );
}

#[test]
fn what_a_container_does_not_have_is_refused_with_its_field() {
    type Change<T> = fn(&mut T);
    let nic = |spec: &mut Spec, change: Change<Nic>| {
        let mut nic = Nic::default();
        change(&mut nic);
        spec.nics = vec![nic];
    };
    let cases: [(Change<Spec>, &str); 3] = [
        (|spec| spec.root_disk_gib = 40, "/spec/root_disk_gib"),
        (|spec| spec.memory_mib = 5, "/spec/memory_mib"),
        (|spec| spec.image_ref = "../info".to_owned(), "/spec/image_ref"),
    ];
    for (change, field) in cases {
        let mut spec = spec();
        change(&mut spec);
        assert_eq!(Machine::read(&spec, "/spec").unwrap_err().detail.field, field);
    }
    let nics: [(Change<Nic>, &str); 4] = [
        (
            |nic| nic.addresses = vec!["172.30.0.5".to_owned()],
            "/spec/nics/0/addresses/0",
        ),
        (
            |nic| nic.addresses = vec!["10.0.0.5/24".to_owned()],
            "/spec/nics/0/addresses/0",
        ),
        (
            |nic| nic.addresses = vec!["172.30.0.5/24".to_owned(), "172.30.0.6/24".to_owned()],
            "/spec/nics/0/addresses/1",
        ),
        (
            |nic| nic.gateway = "172.30.0.2".to_owned(),
            "/spec/nics/0/gateway",
        ),
    ];
    for (change, field) in nics {
        let mut spec = spec();
        nic(&mut spec, change);
        let refused = body(&spec, &ScopeConfig::default(), OLD).unwrap_err();
        assert_eq!(refused.detail.field, field);
    }
}

#[test]
fn settings_have_the_defaults_of_their_schema() {
    let schema = schemas::machine();
    let properties = schema["properties"].as_object().unwrap();
    let defaults = properties
        .iter()
        .map(|(name, property)| (name.clone(), property["default"].clone()))
        .collect();
    let filled = Spec {
        provider: Some(json::to_struct(&defaults)),
        ..spec()
    };
    let scope = ScopeConfig::default();
    assert_eq!(body(&filled, &scope, OLD), body(&spec(), &scope, OLD));
}

#[test]
fn a_network_is_one_that_gives_addresses() {
    let named = |driver: &str| network(json!({"Name": "n", "Id": "1", "Driver": driver}));
    assert!(only(vec![named("bridge")], "n").is_ok());
    for (networks, wanted) in [
        (vec![], Reason::NetworkMissing),
        (vec![named("host")], Reason::InvalidSpec),
        (vec![named("null")], Reason::InvalidSpec),
        (vec![named("bridge"), named("bridge")], Reason::InvalidSpec),
    ] {
        assert_eq!(
            only(networks, "n").map_err(|(reason, _)| reason).err(),
            Some(wanted)
        );
    }
}

#[test]
fn references_are_safe_in_paths() {
    for good in ["node", "node:v1", "r.example.com:5000/a/b_c@sha256:00", "Node"] {
        assert!(reference(good, "").is_ok(), "{good}");
    }
    for bad in [
        "", "/node", "../info", "a/../b", "node?x=1", "node v1", "a//b", "näme",
    ] {
        assert!(reference(bad, "").is_err(), "{bad}");
    }
}
