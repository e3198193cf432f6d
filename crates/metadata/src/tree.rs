//! The tree: a path and a Hardware in, a text out.

use std::borrow::Cow;
use std::net::IpAddr;

use resources::tinkerbell::{HardwareSpec, Instance, InstanceIp, OperatingSystem};

/// A path or a value, mostly one that the Hardware holds already.
type Text<'a> = Cow<'a, str>;

/// Versions of the tree; all have the same content.
pub(crate) const VERSIONS: [&str; 2] = ["2009-04-04", "latest"];

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This text.
    Text(String),
    /// User data that exists but is not given out by address alone.
    Withheld,
    /// Nothing.
    NotFound,
}

/// Looks a path up, for example `/2009-04-04/meta-data/hostname`; a slash at the end makes no difference.
/// `name` is the Hardware's name, the instance id when Hardware gives none.
#[must_use]
pub fn lookup(path: &str, name: &str, hardware: &HardwareSpec, serve_user_data: bool) -> Answer {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let rest = match parts.as_slice() {
        [] => return Answer::Text(VERSIONS.join("\n")),
        [version, rest @ ..] if VERSIONS.contains(version) => rest,
        _ => return Answer::NotFound,
    };
    match rest {
        [] if serve_user_data && hardware.user_data.is_some() => {
            Answer::Text("meta-data/\nuser-data".to_owned())
        }
        [] => Answer::Text("meta-data/".to_owned()),
        ["user-data"] => match &hardware.user_data {
            Some(data) if serve_user_data => Answer::Text(data.clone()),
            Some(_) => Answer::Withheld,
            None => Answer::NotFound,
        },
        ["meta-data", rest @ ..] => find(&meta_data(name, hardware), rest),
        _ => Answer::NotFound,
    }
}

/// Paths below `meta-data` with their values; directories follow from them.
fn meta_data<'a>(name: &'a str, hardware: &'a HardwareSpec) -> Vec<(Text<'a>, Text<'a>)> {
    let metadata = hardware.metadata.as_ref();
    let instance = metadata.and_then(|metadata| metadata.instance.as_ref());
    let facility = metadata.and_then(|metadata| metadata.facility.as_ref());
    let dhcp = hardware
        .interfaces
        .iter()
        .find_map(|interface| interface.dhcp.as_ref());
    let hostname = instance
        .and_then(|instance| instance.hostname.as_deref())
        .or_else(|| dhcp.and_then(|dhcp| dhcp.hostname.as_deref()));
    let reserved = dhcp.and_then(|dhcp| dhcp.ip.as_ref()?.address.as_deref());

    let mut list: Vec<(Text<'a>, Text<'a>)> = Vec::with_capacity(16);
    let mut put = |path: Text<'a>, value: Option<Text<'a>>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            list.push((path, value));
        }
    };
    let id = instance
        .and_then(|instance| instance.id.as_deref())
        .filter(|id| !id.is_empty());
    put("instance-id".into(), Some(id.unwrap_or(name).into()));
    put("hostname".into(), hostname.map(Text::from));
    put("local-hostname".into(), hostname.map(Text::from));
    let plan = facility.and_then(|facility| facility.plan_slug.as_deref());
    put("plan".into(), plan.map(Text::from));
    let code = facility.and_then(|facility| facility.facility_code.as_deref());
    put("facility".into(), code.map(Text::from));
    let tags = instance.map(|instance| instance.tags.join("\n"));
    put("tags".into(), tags.map(Text::from));
    let ips = instance
        .map(|instance| instance.ips.as_slice())
        .unwrap_or_default();
    let public = address(ips, |ip, v4| v4 && ip.public == Some(true));
    put("public-ipv4".into(), public.map(Text::from));
    put("public-ipv6".into(), address(ips, |_, v4| !v4).map(Text::from));
    let local = address(ips, |ip, v4| v4 && ip.public != Some(true));
    put(
        "local-ipv4".into(),
        local.map(Text::from).or(reserved.map(Text::from)),
    );
    for (number, key) in public_keys(instance).into_iter().enumerate() {
        put(
            format!("public-keys/{number}/openssh-key").into(),
            Some(key.into()),
        );
    }
    if let Some(system) = instance.and_then(|instance| instance.operating_system.as_ref()) {
        let OperatingSystem {
            slug,
            distro,
            version,
            image_tag,
            ..
        } = system;
        let mut put = |path: &'static str, value: &'a Option<String>| {
            put(path.into(), value.as_deref().map(Text::from));
        };
        put("operating-system/slug", slug);
        put("operating-system/distro", distro);
        put("operating-system/version", version);
        put("operating-system/image_tag", image_tag);
    }
    list
}

fn address(ips: &[InstanceIp], wanted: impl Fn(&InstanceIp, bool) -> bool) -> Option<String> {
    let parsed = ips
        .iter()
        .filter_map(|ip| Some((ip, ip.address.as_ref()?.parse::<IpAddr>().ok()?)));
    parsed
        .filter(|(ip, address)| wanted(ip, address.is_ipv4()))
        .map(|(_, address)| address.to_string())
        .next()
}

/// Keys that are one line each: others would break the listing.
fn public_keys(instance: Option<&Instance>) -> Vec<&str> {
    let keys = instance
        .map(|instance| instance.ssh_keys.as_slice())
        .unwrap_or_default();
    keys.iter()
        .map(|key| key.trim())
        .filter(|key| !key.is_empty() && key.lines().count() == 1)
        .collect()
}

/// The value at a path, or the listing of a directory.
fn find(tree: &[(Text<'_>, Text<'_>)], parts: &[&str]) -> Answer {
    let path = parts.join("/");
    if let Some((_, value)) = tree.iter().find(|(at, _)| *at == path) {
        return Answer::Text(value.clone().into_owned());
    }
    let prefix = if path.is_empty() { path } else { path + "/" };
    let mut names: Vec<String> = Vec::new();
    for (at, value) in tree {
        let Some(below) = at.strip_prefix(&prefix) else {
            continue;
        };
        let name = match below.split_once('/') {
            // EC2 lists keys as number and name.
            Some((number, _)) if prefix == "public-keys/" => format!("{number}={}", key_name(value, number)),
            Some((directory, _)) => format!("{directory}/"),
            None => below.to_owned(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        Answer::NotFound
    } else {
        Answer::Text(names.join("\n"))
    }
}

/// The comment of an OpenSSH key, as far as it is a plain name.
fn key_name(key: &str, number: &str) -> String {
    let comment = key.split_whitespace().nth(2).unwrap_or_default();
    let name: String = comment
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "@.-_".contains(*c))
        .collect();
    if name.is_empty() {
        format!("key-{number}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use resources::tinkerbell::{Dhcp, Facility, HardwareInterface, HardwareMetadata, Ip};

    use super::*;

    fn hardware() -> HardwareSpec {
        let ip = |address: &str, public| InstanceIp {
            address: Some(address.into()),
            public: Some(public),
            ..InstanceIp::default()
        };
        let instance = Instance {
            id: Some("52:54:00:00:00:01".into()),
            hostname: Some("node-1".into()),
            tags: vec!["a".into(), "b".into()],
            ssh_keys: vec![
                "ssh-ed25519 AAAA me@desk".into(),
                "two\nlines".into(),
                "ssh-rsa BBBB".into(),
            ],
            operating_system: Some(OperatingSystem {
                distro: Some("debian".into()),
                ..OperatingSystem::default()
            }),
            ips: vec![
                ip("192.0.2.5", true),
                ip("10.0.0.5", false),
                ip("2001:db8::5", true),
            ],
            ..Instance::default()
        };
        HardwareSpec {
            metadata: Some(HardwareMetadata {
                facility: Some(Facility {
                    plan_slug: Some("c2.medium.x86".into()),
                    facility_code: Some("onprem".into()),
                    ..Facility::default()
                }),
                instance: Some(instance),
                ..HardwareMetadata::default()
            }),
            user_data: Some("#cloud-config\n".into()),
            ..HardwareSpec::default()
        }
    }

    fn text(path: &str) -> String {
        match lookup(path, "node-1", &hardware(), false) {
            Answer::Text(text) => text,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn every_path() {
        for (path, expected) in [
            ("/", "2009-04-04\nlatest"),
            ("/2009-04-04", "meta-data/"),
            ("/latest/", "meta-data/"),
            (
                "/2009-04-04/meta-data/",
                "instance-id\nhostname\nlocal-hostname\nplan\nfacility\ntags\npublic-ipv4\npublic-ipv6\nlocal-ipv4\n\
                 public-keys/\noperating-system/",
            ),
            ("/2009-04-04/meta-data/instance-id", "52:54:00:00:00:01"),
            ("/2009-04-04/meta-data/hostname/", "node-1"),
            ("/latest/meta-data/local-hostname", "node-1"),
            ("/latest/meta-data/plan", "c2.medium.x86"),
            ("/latest/meta-data/facility", "onprem"),
            ("/latest/meta-data/tags", "a\nb"),
            ("/latest/meta-data/public-ipv4", "192.0.2.5"),
            ("/latest/meta-data/public-ipv6", "2001:db8::5"),
            ("/latest/meta-data/local-ipv4", "10.0.0.5"),
            ("/latest/meta-data/public-keys", "0=me@desk\n1=key-1"),
            ("/latest/meta-data/public-keys/0", "openssh-key"),
            ("/latest/meta-data/public-keys/1/openssh-key", "ssh-rsa BBBB"),
            ("/latest/meta-data/operating-system/", "distro"),
            ("/latest/meta-data/operating-system/distro", "debian"),
        ] {
            assert_eq!(text(path), expected, "{path}");
        }
        for path in [
            "/x",
            "/latest/x",
            "/latest/meta-data/iqn",
            "/latest/meta-data/operating-system/slug",
            "/metadata",
        ] {
            assert_eq!(
                lookup(path, "node-1", &hardware(), true),
                Answer::NotFound,
                "{path}"
            );
        }
    }

    #[test]
    fn user_data_only_by_the_switch() {
        let at = |switch| lookup("/latest/user-data", "n", &hardware(), switch);
        assert_eq!(at(false), Answer::Withheld);
        assert_eq!(at(true), Answer::Text("#cloud-config\n".into()));
        assert_eq!(
            lookup("/latest/user-data", "n", &HardwareSpec::default(), true),
            Answer::NotFound
        );
        let listing = Answer::Text("meta-data/\nuser-data".into());
        assert_eq!(lookup("/latest", "n", &hardware(), true), listing);
    }

    #[test]
    fn a_bare_hardware_has_an_identity() {
        let dhcp = Dhcp {
            hostname: Some("node-2".into()),
            ip: Some(Ip {
                address: Some("10.0.0.6".into()),
                ..Ip::default()
            }),
            ..Dhcp::default()
        };
        let interface = HardwareInterface {
            dhcp: Some(dhcp),
            ..HardwareInterface::default()
        };
        let bare = HardwareSpec {
            interfaces: vec![interface],
            ..HardwareSpec::default()
        };
        let text = |path| lookup(path, "hw-2", &bare, false);
        assert_eq!(text("/latest/meta-data/instance-id"), Answer::Text("hw-2".into()));
        assert_eq!(
            text("/latest/meta-data"),
            Answer::Text("instance-id\nhostname\nlocal-hostname\nlocal-ipv4".into())
        );
        assert_eq!(
            text("/latest/meta-data/local-ipv4"),
            Answer::Text("10.0.0.6".into())
        );
    }
}
