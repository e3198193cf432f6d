//! TinkerbellDatacenterConfig and TinkerbellMachineConfig.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use resources::anywhere::{TinkerbellMachineConfig, User};
use resources::gantry::LabelOperator;
use url::Url;

use super::host_os;
use crate::bundle::{ClusterBundle, label_operator};
use crate::violation::{Report, Violation};

pub(super) fn check(bundle: &ClusterBundle) -> Vec<Violation> {
    let mut found = datacenter(bundle);
    let mut families = Vec::new();
    for group in bundle.groups() {
        families.extend(group.config_name().map(|name| (name, group.os_family())));
    }
    for config in bundle.machine_configs.values() {
        let mut report = Report::new("TinkerbellMachineConfig", &config.name_any());
        machine_config(bundle, config, &mut report);
        if let Some((first, family)) = families.first()
            && *family != config.spec.os_family
            && families.iter().any(|(name, _)| *name == config.name_any())
        {
            report.add(
                "spec.osFamily",
                format!("differs from that of {first}"),
                "control plane and workers have the same osFamily",
            );
        }
        found.extend(report.found);
    }
    found
}

fn datacenter(bundle: &ClusterBundle) -> Vec<Violation> {
    let mut report = Report::new("TinkerbellDatacenterConfig", &bundle.datacenter.name_any());
    let spec = &bundle.datacenter.spec;
    let endpoint = bundle
        .cluster
        .spec
        .control_plane_configuration
        .endpoint
        .as_ref()
        .map(|endpoint| &endpoint.host);
    match spec.tinkerbell_ip.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if !address.is_unspecified() => {
            if endpoint.is_some_and(|host| *host == spec.tinkerbell_ip) {
                report.add(
                    "spec.tinkerbellIP",
                    format!("{address} is also the control-plane endpoint"),
                    "choose two different free addresses",
                );
            }
        }
        _ => report.add(
            "spec.tinkerbellIP",
            format!("{:?} is not an IPv4 address", spec.tinkerbell_ip),
            "write a free address of the machines' network; the appliance answers there",
        ),
    }
    let mut absent = |path: &str, present: bool, message: &str| {
        if present {
            report.add(path, message, "remove the field; Gantry boots its own installer");
        }
    };
    absent(
        "spec.hookIsoURL",
        spec.hook_iso_url.is_some(),
        "an ISO is not booted by this version",
    );
    absent(
        "spec.isoBoot",
        spec.iso_boot == Some(true),
        "an ISO is not booted by this version",
    );
    if let Some(image) = &spec.os_image_url {
        check_url(image, &mut report);
    }
    report.found
}

fn machine_config(bundle: &ClusterBundle, config: &TinkerbellMachineConfig, report: &mut Report) {
    let spec = &config.spec;
    hardware(config, report);
    if let Some(reference) = &spec.template_ref
        && (reference.kind != "TinkerbellTemplateConfig" || !bundle.templates.contains_key(&reference.name))
    {
        report.add(
            "spec.templateRef",
            format!("the file has no {} named {:?}", reference.kind, reference.name),
            "name a TinkerbellTemplateConfig of this file",
        );
    }
    match (&spec.os_image_url, &bundle.datacenter.spec.os_image_url) {
        (Some(image), None) => check_url(image, report),
        (Some(_), Some(_)) => report.add(
            "spec.osImageURL",
            "osImageURL stands here and in the TinkerbellDatacenterConfig",
            "keep one of the two",
        ),
        (None, None) => report.add(
            "spec.osImageURL",
            "neither this nor the TinkerbellDatacenterConfig names an image",
            "write osImageURL in one of them; `gantry image build` makes an image and prints its URL",
        ),
        (None, Some(_)) => {}
    }
    users(&spec.users, report);
    host_os::check(spec.host_os_configuration.as_ref(), report);
}

/// Users of the installed system.
pub(super) fn users(users: &[User], report: &mut Report) {
    for (at, user) in users.iter().enumerate() {
        let inner =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-_".contains(&octet);
        let first = user
            .name
            .bytes()
            .next()
            .is_some_and(|octet| octet.is_ascii_lowercase() || octet == b'_');
        if !first || user.name.len() > 32 || !user.name.bytes().all(inner) || user.name == "root" {
            report.add(
                format!("spec.users[{at}].name"),
                format!("{:?} is not a user name", user.name),
                "use at most 32 lower-case letters, digits, '-' and '_'; root is not allowed",
            );
        }
        if users.iter().take(at).any(|other| other.name == user.name) {
            report.add(
                format!("spec.users[{at}].name"),
                format!("{} stands here twice", user.name),
                "keep one user with all keys",
            );
        }
        for (key_at, key) in user.ssh_authorized_keys.iter().enumerate() {
            let kind = key.split_ascii_whitespace().next().unwrap_or_default();
            let known = ["ssh-", "ecdsa-", "sk-"]
                .iter()
                .any(|start| kind.starts_with(start));
            if !known || key.split_ascii_whitespace().count() < 2 || key.contains('\n') {
                report.add(
                    format!("spec.users[{at}].sshAuthorizedKeys[{key_at}]"),
                    "this is not a public SSH key",
                    "paste the one line of a .pub file",
                );
            }
        }
    }
}

fn hardware(config: &TinkerbellMachineConfig, report: &mut Report) {
    let spec = &config.spec;
    match (&spec.hardware_affinity, spec.hardware_selector.len()) {
        (None, 1) => {}
        (None, 0) => report.add(
            "spec.hardwareSelector",
            "no hardware is chosen",
            "write one key and value that rows of hardware.csv have in labels",
        ),
        (None, more) => report.add(
            "spec.hardwareSelector",
            format!("{more} labels stand here, exactly one is allowed"),
            "keep one, or write a hardwareAffinity",
        ),
        (Some(_), 1..) => report.add(
            "spec.hardwareAffinity",
            "hardwareSelector and hardwareAffinity exclude each other",
            "keep one of the two",
        ),
        (Some(affinity), 0) => {
            if affinity.required.is_empty() {
                report.add(
                    "spec.hardwareAffinity.required",
                    "no hardware is required",
                    "write at least one term",
                );
            }
            for (at, term) in affinity.required.iter().enumerate() {
                let path = format!("spec.hardwareAffinity.required[{at}].labelSelector");
                required(&term.label_selector, &path, report);
            }
        }
    }
}

/// A term of which one must hold.
fn required(selector: &LabelSelector, path: &str, report: &mut Report) {
    let labels = selector.match_labels.iter().flatten().count();
    let expressions: Vec<_> = selector.match_expressions.iter().flatten().collect();
    if labels == 0 && expressions.is_empty() {
        let step = "write matchLabels or matchExpressions";
        report.add(path, "the term names no label", step);
    }
    for (at, expression) in expressions.into_iter().enumerate() {
        let path = format!("{path}.matchExpressions[{at}]");
        let values = expression.values.iter().flatten().count();
        match label_operator(&expression.operator) {
            None => report.add(
                format!("{path}.operator"),
                format!("{:?} is not an operator", expression.operator),
                "write In, NotIn, Exists or DoesNotExist",
            ),
            Some(LabelOperator::In | LabelOperator::NotIn) if values == 0 => report.add(
                format!("{path}.values"),
                format!("{} needs values", expression.operator),
                "write at least one",
            ),
            Some(LabelOperator::Exists | LabelOperator::DoesNotExist) if values > 0 => report.add(
                format!("{path}.values"),
                format!("{} takes no values", expression.operator),
                "remove them, or write In or NotIn",
            ),
            Some(_) => {}
        }
    }
}

fn check_url(image: &str, report: &mut Report) {
    let scheme = Url::parse(image).map(|url| url.scheme().to_owned());
    if !scheme.is_ok_and(|scheme| ["http", "https", "file"].contains(&scheme.as_str())) {
        report.add(
            "spec.osImageURL",
            format!("{image:?} is not a URL of an image"),
            "write http://, https:// or, for a file on the appliance, file:///path",
        );
    }
}
