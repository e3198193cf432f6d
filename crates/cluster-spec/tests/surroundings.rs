//! The addresses of a cluster against hardware, BMCs, other clusters and the appliance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod releases;

use std::net::Ipv4Addr;

use cluster_spec::{
    ClusterBundle, Hosts, Surroundings, check_surroundings, endpoint_to_probe, parse, vrrp_id,
};
use kube::ResourceExt as _;
use resources::anywhere::Cluster;
use resources::tinkerbell::Hardware;
use resources::{Mac, bmc, keys};
use serde_json::json;

use crate::releases::releases;

fn bundle(text: &str) -> ClusterBundle {
    parse(text, "cluster.yaml", &releases()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Cluster `demo`: endpoint 192.0.2.10, tinkerbellIP 192.0.2.5, pods 10.244.0.0/16, services 10.96.0.0/12.
fn demo(from: &str, to: &str) -> ClusterBundle {
    let good = include_str!("good.yaml");
    assert!(good.contains(from), "{from}");
    bundle(&good.replacen(from, to, 1))
}

fn machine(name: &str, address: &str, netmask: &str, kind: &str) -> Hardware {
    serde_json::from_value(json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
        "metadata": {"name": name, "labels": {"type": kind}},
        "spec": {"interfaces": [{"dhcp": {"mac": "52:54:00:aa:00:01", "name_servers": ["192.0.2.3"],
            "ip": {"address": address, "netmask": netmask, "gateway": "192.0.2.1"}}}]}
    }))
    .unwrap()
}

fn rack() -> [Hardware; 2] {
    [
        machine("node-a", "192.0.2.11", "255.255.255.0", "cp"),
        machine("node-b", "192.0.2.12", "255.255.255.0", "worker"),
    ]
}

fn bmc() -> bmc::Machine {
    serde_json::from_value(json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": "bmc-a"},
        "spec": {"connection": {"host": "192.0.2.21", "authSecretRef": {"name": "a", "namespace": "n"}}}
    }))
    .unwrap()
}

fn other(name: &str, endpoint: &str) -> Cluster {
    let mut cluster = demo("192.0.2.10", endpoint).cluster;
    cluster.metadata.name = Some(name.to_owned());
    cluster
}

fn found(bundle: &ClusterBundle, around: &Surroundings<'_>) -> Vec<String> {
    let violations = check_surroundings(bundle, around);
    violations
        .iter()
        .map(|found| format!("{}: {}", found.path, found.message))
        .collect()
}

#[test]
fn an_address_of_somebody_else_is_refused_with_its_owner() {
    let (hardware, bmcs, clusters) = (rack(), [bmc()], [other("prod", "192.0.2.30")]);
    let around = Surroundings {
        hosts: &Hosts::new(&hardware, &bmcs),
        clusters: &clusters.each_ref(),
        appliance: Some(Ipv4Addr::new(192, 0, 2, 5)),
        holder: None,
    };
    assert_eq!(found(&demo("192.0.2.10", "192.0.2.10"), &around), [""; 0]);
    for (address, owner) in [
        ("192.0.2.12", "the address of machine node-b"),
        ("192.0.2.1", "the gateway of machine node-a"),
        ("192.0.2.3", "a name server of machine node-a"),
        ("192.0.2.21", "the address of BMC bmc-a"),
        ("192.0.2.30", "the endpoint of cluster prod"),
    ] {
        let expected = format!("spec.controlPlaneConfiguration.endpoint.host: {address} is already {owner}");
        assert_eq!(found(&demo("192.0.2.10", address), &around), [expected]);
    }
    for (address, owner) in [
        ("192.0.2.11", "the address of machine node-a"),
        ("192.0.2.21", "the address of BMC bmc-a"),
        ("192.0.2.30", "the endpoint of cluster prod"),
    ] {
        let bundle = demo("tinkerbellIP: 192.0.2.5", &format!("tinkerbellIP: {address}"));
        assert_eq!(
            found(&bundle, &around),
            [
                format!("spec.tinkerbellIP: {address} is already {owner}"),
                format!("spec.tinkerbellIP: this appliance answers machines at 192.0.2.5, not at {address}"),
            ]
        );
    }
}

#[test]
fn an_endpoint_that_somebody_answers_for_is_refused_with_who_it_is() {
    let mut hardware = rack();
    let bundle = demo("192.0.2.10", "192.0.2.10");
    assert_eq!(
        endpoint_to_probe(&bundle.cluster),
        Some(Ipv4Addr::new(192, 0, 2, 10))
    );
    let mac: Mac = "02:00:5e:00:53:07".parse().unwrap();
    let place = "spec.controlPlaneConfiguration.endpoint.host: 192.0.2.10 is in use: 02:00:5e:00:53:07";
    for (machine, expected) in [
        (None, format!("{place} answers for it")),
        (Some(mac), format!("{place} (machine node-a) answers for it")),
    ] {
        if let Some(mac) = machine {
            hardware[0].spec.interfaces[0].dhcp.as_mut().unwrap().mac = Some(mac);
        }
        let around = Surroundings {
            hosts: &Hosts::new(&hardware, []),
            holder: Some(mac),
            ..Surroundings::default()
        };
        assert_eq!(found(&bundle, &around), [expected]);
    }
}

#[test]
fn an_endpoint_is_not_probed_where_somebody_may_answer() {
    let own = demo(
        "host: 192.0.2.10",
        "host: 192.0.2.10\n    skipLoadBalancerDeployment: true",
    );
    assert_eq!(endpoint_to_probe(&own.cluster), None);
    let mut skipped = demo("192.0.2.10", "192.0.2.10").cluster;
    let annotations = skipped.annotations_mut();
    annotations.insert(keys::SKIP_IP_CHECK.to_owned(), "true".to_owned());
    assert_eq!(endpoint_to_probe(&skipped), None);
}

#[test]
fn the_endpoint_lies_where_the_control_plane_is() {
    let hardware = rack();
    let around = Surroundings {
        hosts: &Hosts::new(&hardware, []),
        ..Surroundings::default()
    };
    let far = demo("192.0.2.10", "198.51.100.10");
    let expected = "spec.controlPlaneConfiguration.endpoint.host: 198.51.100.10 is in none of the networks of the \
                    control-plane machines (node-a: 192.0.2.0/24)";
    assert_eq!(found(&far, &around), [expected]);
    let own = demo(
        "host: 192.0.2.10",
        "host: 198.51.100.10\n    skipLoadBalancerDeployment: true",
    );
    assert_eq!(found(&own, &around), [""; 0]);
}

#[test]
fn ranges_keep_off_the_machines_and_the_endpoints_of_others() {
    let hardware = [
        machine("node-a", "192.0.2.11", "255.255.255.0", "cp"),
        machine("node-b", "198.51.100.12", "255.255.255.0", "worker"),
    ];
    let clusters = [other("prod", "203.0.113.30")];
    let around = Surroundings {
        hosts: &Hosts::new(&hardware, []),
        clusters: &clusters.each_ref(),
        ..Surroundings::default()
    };
    let pods = demo("10.244.0.0/16", "198.51.0.0/16");
    let expected = "spec.clusterNetwork.pods.cidrBlocks[0]: 198.51.0.0/16 and the network 198.51.100.0/24 of machine \
                    node-b overlap";
    assert_eq!(found(&pods, &around), [expected]);
    let services = demo("10.96.0.0/12", "203.0.113.0/24");
    let expected = "spec.clusterNetwork.services.cidrBlocks[0]: 203.0.113.0/24 and the endpoint 203.0.113.30 of cluster \
                    prod overlap";
    assert_eq!(found(&services, &around), [expected]);
}

#[test]
fn clusters_of_one_segment_have_different_virtual_router_ids() {
    let hardware = [
        machine("node-a", "10.20.30.11", "255.255.254.0", "cp"),
        machine("node-b", "10.20.31.12", "255.255.254.0", "worker"),
    ];
    let at = |endpoint: &str| {
        let text = include_str!("good.yaml").replacen("192.0.2.10", endpoint, 1);
        bundle(&text.replacen("192.0.2.5", "10.20.30.5", 1))
    };
    let mut east = at("10.20.30.50");
    east.cluster.metadata.name = Some("east".to_owned());
    let west = at("10.20.31.50");
    assert_ne!(vrrp_id(&east.cluster), vrrp_id(&west.cluster));
    let clusters = [east.cluster.clone()];
    let around = Surroundings {
        hosts: &Hosts::new(&hardware, []),
        clusters: &clusters.each_ref(),
        ..Surroundings::default()
    };
    assert_eq!(found(&west, &around), [""; 0]);

    let key = "gantry.dev/vrrp-id";
    let annotated = |id: String| {
        let mut west = west.clone();
        west.cluster.annotations_mut().insert(key.to_owned(), id);
        west
    };
    let same = annotated(vrrp_id(&east.cluster).to_string());
    assert_eq!(
        found(&same, &around),
        [
            "metadata.annotations[gantry.dev/vrrp-id]: the virtual router id 21 of 10.20.31.50 is also that \
          of cluster east"
        ]
    );
    assert_eq!(found(&annotated("77".to_owned()), &around), [""; 0]);
    assert_eq!(
        found(&annotated("300".to_owned()), &around),
        ["metadata.annotations[gantry.dev/vrrp-id]: \"300\" is not a virtual router id"]
    );
    // kube-vip has no such id, but an address on that segment.
    let mut kube_vip = same;
    kube_vip
        .cluster
        .annotations_mut()
        .insert(keys::CONTROL_PLANE_VIP.to_owned(), "kube-vip".to_owned());
    assert_eq!(found(&kube_vip, &around), [""; 0]);
    assert_eq!(
        endpoint_to_probe(&kube_vip.cluster),
        Some(Ipv4Addr::new(10, 20, 31, 50))
    );
    // Far away on another segment the same id does no harm.
    let mut far = east.cluster.clone();
    far.spec
        .control_plane_configuration
        .endpoint
        .as_mut()
        .unwrap()
        .host = "203.0.113.1".to_owned();
    far.annotations_mut()
        .insert(key.to_owned(), vrrp_id(&west.cluster).to_string());
    let clusters = [far];
    let around = Surroundings {
        clusters: &clusters.each_ref(),
        ..around
    };
    assert_eq!(found(&west, &around), [""; 0]);
}
