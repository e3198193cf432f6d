//! The objects that a row stands for, field by field what EKS Anywhere makes of it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::core::ObjectMeta;
use resources::bmc::{
    BmcProtocol, Connection, IpmiOptions, Machine, MachineSpec, NamespacedRef, ProviderOptions,
    RedfishOptions,
};
use resources::keys;
use resources::tinkerbell::{
    Dhcp, Disk, Facility, Hardware, HardwareInterface, HardwareMetadata, HardwareSpec, Instance, InstanceIp,
    Ip, Netboot, TypedRef,
};
use serde_json::Value;

use crate::row::{BmcAccess, Row};

/// Lease time of reservations: as long as the option can say without meaning "for ever".
const LEASE_SECONDS: i64 = 4_294_967_294;

/// The objects of one row.
#[derive(Clone, PartialEq)]
pub struct RowObjects {
    /// The machine.
    pub hardware: Hardware,
    /// Its BMC, `bmc-<hostname>`.
    pub bmc: Option<Machine>,
    /// User and password of the BMC, `bmc-<hostname>-auth`.
    pub secret: Option<KubeSecret>,
}

impl std::fmt::Debug for RowObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowObjects")
            .field("hardware", &self.hardware)
            .field("bmc", &self.bmc)
            .finish_non_exhaustive()
    }
}

/// The file's name as a label value: what is not allowed in one becomes `-`.
#[must_use]
pub fn source_label(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let value: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    value
        .trim_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned()
}

/// Objects of all rows, made one by one. `source` is the file's name: rows gone from it later are found by that label.
pub fn to_objects(rows: &[Row], namespace: &str, source: &str) -> impl Iterator<Item = RowObjects> {
    rows.iter().map(move |row| row_objects(row, namespace, source))
}

fn row_objects(row: &Row, namespace: &str, source: &str) -> RowObjects {
    let imported = BTreeMap::from([(keys::IMPORTED_FROM.to_owned(), source_label(source))]);
    let mut labels = row.labels.clone();
    labels.extend(imported.clone());
    let mut hardware = Hardware::new(&row.hostname, hardware_spec(row));
    hardware.metadata = meta(&row.hostname, namespace, labels);
    let name = format!("bmc-{}", row.hostname);
    let auth = format!("{name}-auth");
    let bmc = row.bmc.as_ref().map(|access| {
        let mut machine = Machine::new(
            &name,
            MachineSpec {
                connection: connection(access, &auth, namespace),
            },
        );
        machine.metadata = meta(&name, namespace, imported.clone());
        machine
    });
    let secret = row.bmc.as_ref().map(|access| {
        let mut labels = imported.clone();
        labels.insert(keys::MOVE.to_owned(), "true".to_owned());
        KubeSecret {
            metadata: meta(&auth, namespace, labels),
            type_: Some("kubernetes.io/basic-auth".to_owned()),
            data: Some(BTreeMap::from([
                (
                    "username".to_owned(),
                    ByteString(access.username.clone().into_bytes()),
                ),
                (
                    "password".to_owned(),
                    ByteString(access.password.reveal().clone().into_bytes()),
                ),
            ])),
            ..KubeSecret::default()
        }
    });
    RowObjects {
        hardware,
        bmc,
        secret,
    }
}

fn meta(name: &str, namespace: &str, labels: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

fn connection(access: &BmcAccess, auth: &str, namespace: &str) -> Connection {
    Connection {
        host: access.ip.to_string(),
        auth_secret_ref: Some(NamespacedRef {
            name: auth.to_owned(),
            namespace: namespace.to_owned(),
        }),
        insecure_tls: true,
        provider_options: Some(provider_options(access)),
        ..Connection::default()
    }
}

/// By the names that Rufio has for the protocols.
fn provider_options(access: &BmcAccess) -> ProviderOptions {
    let name = |protocol: &BmcProtocol| match protocol {
        BmcProtocol::Redfish => "gofish".to_owned(),
        BmcProtocol::Ipmi => "ipmitool".to_owned(),
    };
    let protocols: &[BmcProtocol] = match access.protocols.as_slice() {
        [] => &[BmcProtocol::Redfish],
        protocols => protocols,
    };
    let port_of = |protocol| access.port.filter(|_| protocols == [protocol]);
    ProviderOptions {
        preferred_order: protocols.iter().map(name).collect(),
        redfish: port_of(BmcProtocol::Redfish).map(|port| RedfishOptions {
            port: Some(port),
            ..RedfishOptions::default()
        }),
        ipmitool: port_of(BmcProtocol::Ipmi).map(|port| IpmiOptions {
            port: Some(port),
            ..IpmiOptions::default()
        }),
        ..ProviderOptions::default()
    }
}

fn hardware_spec(row: &Row) -> HardwareSpec {
    let (address, netmask, gateway) = (
        row.ip.to_string(),
        row.netmask().to_string(),
        row.gateway.to_string(),
    );
    HardwareSpec {
        bmc_ref: row.bmc.is_some().then(|| TypedRef {
            api_group: Some("bmc.tinkerbell.org".to_owned()),
            kind: "Machine".to_owned(),
            name: format!("bmc-{}", row.hostname),
        }),
        disks: vec![Disk {
            device: Some(row.disk.clone()),
        }],
        metadata: Some(HardwareMetadata {
            facility: Some(Facility {
                facility_code: Some("onprem".to_owned()),
                plan_slug: Some("c2.medium.x86".to_owned()),
                ..Facility::default()
            }),
            instance: Some(Instance {
                id: Some(row.mac.to_string()),
                hostname: Some(row.hostname.clone()),
                ips: vec![InstanceIp {
                    address: Some(address.clone()),
                    netmask: Some(netmask.clone()),
                    gateway: Some(gateway.clone()),
                    family: Some(4),
                    public: Some(true),
                    ..InstanceIp::default()
                }],
                rest: BTreeMap::from([
                    ("allow_pxe".to_owned(), Value::Bool(true)),
                    ("always_pxe".to_owned(), Value::Bool(true)),
                ]),
                ..Instance::default()
            }),
            ..HardwareMetadata::default()
        }),
        interfaces: vec![HardwareInterface {
            netboot: Some(Netboot {
                allow_pxe: Some(true),
                allow_workflow: Some(true),
                ..Netboot::default()
            }),
            dhcp: Some(Dhcp {
                mac: Some(row.mac),
                hostname: Some(row.hostname.clone()),
                lease_time: Some(LEASE_SECONDS),
                name_servers: row.nameservers.iter().map(ToString::to_string).collect(),
                arch: Some("x86_64".to_owned()),
                uefi: Some(true),
                ip: Some(Ip {
                    address: Some(address),
                    netmask: Some(netmask),
                    gateway: Some(gateway),
                    family: Some(4),
                }),
                vlan_id: row.vlan.map(|id| id.to_string()),
                ..Dhcp::default()
            }),
            ..HardwareInterface::default()
        }],
        ..HardwareSpec::default()
    }
}
