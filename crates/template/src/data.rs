//! What a template sees: the keys of hardwareMap, `.hardware` by JSON names and `.Hardware` by Go names.
//!
//! The second is Tinkerbell's older contract (`.Hardware.Disks` a list of strings, `(index .Hardware.Interfaces
//! 0).DHCP.IP.Address`), which EKS Anywhere's templates use. Where Go has a plain string or number, an absent field is
//! its zero value; where Go has a pointer, it is nil.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;
use resources::tinkerbell::{Dhcp, Hardware, HardwareInterface, HardwareMetadata, Ip, Netboot, Route};
use serde_json::Value as Json;

use crate::Error;
use sprig::from_json;

/// Data for one Workflow: its hardwareMap and, when it names one, its Hardware.
pub fn data(hardware_map: &BTreeMap<String, String>, hardware: Option<&Hardware>) -> Result<Value, Error> {
    let mut top: BTreeMap<Arc<str>, Value> = hardware_map
        .iter()
        .map(|(key, value)| (key.as_str().into(), text(Some(value))))
        .collect();
    if let Some(hardware) = hardware {
        let name = hardware.metadata.name.clone().unwrap_or_default();
        let json = serde_json::to_value(hardware).map_err(|error| Error::Data {
            hardware: name,
            message: error.to_string(),
        })?;
        top.insert("hardware".into(), from_json(&json));
        top.insert("Hardware".into(), by_go_names(hardware));
    }
    Ok(Value::Map(Arc::new(top)))
}

fn by_go_names(hardware: &Hardware) -> Value {
    let spec = &hardware.spec;
    let disks = spec.disks.iter().map(|disk| text(disk.device.as_ref()));
    map([
        ("Disks", list(disks)),
        ("Interfaces", list(spec.interfaces.iter().map(interface))),
        ("UserData", text(spec.user_data.as_ref())),
        ("VendorData", text(spec.vendor_data.as_ref())),
        ("Metadata", spec.metadata.as_ref().map_or(Value::Nil, metadata)),
    ])
}

fn interface(interface: &HardwareInterface) -> Value {
    map([
        ("DHCP", interface.dhcp.as_ref().map_or(Value::Nil, dhcp)),
        ("Netboot", interface.netboot.as_ref().map_or(Value::Nil, netboot)),
        ("DisableDHCP", Value::Bool(interface.disable_dhcp)),
    ])
}

fn dhcp(dhcp: &Dhcp) -> Value {
    map([
        ("MAC", text(dhcp.mac.map(|mac| mac.to_string()).as_ref())),
        ("Hostname", text(dhcp.hostname.as_ref())),
        ("DomainName", text(dhcp.domain_name.as_ref())),
        ("LeaseTime", Value::Int(dhcp.lease_time.unwrap_or_default())),
        (
            "NameServers",
            list(dhcp.name_servers.iter().map(|server| text(Some(server)))),
        ),
        (
            "TimeServers",
            list(dhcp.time_servers.iter().map(|server| text(Some(server)))),
        ),
        ("Arch", text(dhcp.arch.as_ref())),
        ("UEFI", Value::Bool(dhcp.uefi.unwrap_or_default())),
        ("IfaceName", text(dhcp.iface_name.as_ref())),
        ("IP", dhcp.ip.as_ref().map_or(Value::Nil, address)),
        ("VLANID", text(dhcp.vlan_id.as_ref())),
        (
            "ClasslessStaticRoutes",
            list(dhcp.classless_static_routes.iter().map(route)),
        ),
        ("TFTPServerName", text(dhcp.tftp_server_name.as_ref())),
        ("BootFileName", text(dhcp.boot_file_name.as_ref())),
    ])
}

fn address(ip: &Ip) -> Value {
    map([
        ("Address", text(ip.address.as_ref())),
        ("Netmask", text(ip.netmask.as_ref())),
        ("Gateway", text(ip.gateway.as_ref())),
        ("Family", Value::Int(ip.family.unwrap_or_default())),
    ])
}

fn route(route: &Route) -> Value {
    map([
        ("DestinationDescriptor", text(Some(&route.destination_descriptor))),
        ("Router", text(Some(&route.router))),
    ])
}

fn netboot(netboot: &Netboot) -> Value {
    let flag = |value: Option<bool>| value.map_or(Value::Nil, Value::Bool);
    map([
        ("AllowPXE", flag(netboot.allow_pxe)),
        ("AllowWorkflow", flag(netboot.allow_workflow)),
        (
            "IPXE",
            netboot.ipxe.as_ref().map_or(Value::Nil, |ipxe| {
                map([
                    ("URL", text(ipxe.url.as_ref())),
                    ("Contents", text(ipxe.contents.as_ref())),
                    ("Binary", text(ipxe.binary.as_ref())),
                ])
            }),
        ),
        (
            "OSIE",
            netboot.osie.as_ref().map_or(Value::Nil, |osie| {
                map([
                    ("BaseURL", text(osie.base_url.as_ref())),
                    ("Kernel", text(osie.kernel.as_ref())),
                    ("Initrd", text(osie.initrd.as_ref())),
                ])
            }),
        ),
    ])
}

fn metadata(metadata: &HardwareMetadata) -> Value {
    // The block has many historic fields; they are reached through their JSON form.
    let json = serde_json::to_value(metadata).unwrap_or_default();
    let instance = json.get("instance").map_or(Value::Nil, |instance| {
        map([
            ("ID", field(instance, "id")),
            ("State", field(instance, "state")),
            ("Hostname", field(instance, "hostname")),
            ("Userdata", field(instance, "userdata")),
            ("CryptedRootPassword", field(instance, "crypted_root_password")),
            ("IpxeScriptURL", field(instance, "ipxe_script_url")),
            ("Tags", items(instance, "tags")),
            ("SSHKeys", items(instance, "ssh_keys")),
            ("Ips", list(instance_addresses(instance))),
            (
                "OperatingSystem",
                instance.get("operating_system").map_or(Value::Nil, |system| {
                    map([
                        ("Slug", field(system, "slug")),
                        ("Distro", field(system, "distro")),
                        ("Version", field(system, "version")),
                        ("ImageTag", field(system, "image_tag")),
                        ("OsSlug", field(system, "os_slug")),
                    ])
                }),
            ),
        ])
    });
    map([
        ("State", field(&json, "state")),
        ("Instance", instance),
        (
            "Facility",
            json.get("facility").map_or(Value::Nil, |facility| {
                map([
                    ("PlanSlug", field(facility, "plan_slug")),
                    ("PlanVersionSlug", field(facility, "plan_version_slug")),
                    ("FacilityCode", field(facility, "facility_code")),
                ])
            }),
        ),
        (
            "Manufacturer",
            json.get("manufacturer").map_or(Value::Nil, |made| {
                map([("ID", field(made, "id")), ("Slug", field(made, "slug"))])
            }),
        ),
    ])
}

fn instance_addresses(instance: &Json) -> Vec<Value> {
    let addresses = instance
        .get("ips")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let one = |ip: &Json| {
        map([
            ("Address", field(ip, "address")),
            ("Netmask", field(ip, "netmask")),
            ("Gateway", field(ip, "gateway")),
            (
                "Family",
                Value::Int(ip.get("family").and_then(Json::as_i64).unwrap_or_default()),
            ),
            (
                "Public",
                Value::Bool(ip.get("public").and_then(Json::as_bool).unwrap_or_default()),
            ),
        ])
    };
    addresses.iter().map(one).collect()
}

fn field(object: &Json, name: &str) -> Value {
    text(object.get(name).and_then(Json::as_str))
}

fn items(object: &Json, name: &str) -> Value {
    let all = object
        .get(name)
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    list(all.iter().map(|item| text(item.as_str())))
}

fn text(value: Option<impl AsRef<str>>) -> Value {
    Value::String(value.as_ref().map_or("", AsRef::as_ref).into())
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Arc::new(
        entries
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect(),
    ))
}
