//! The workflow that installs a node when the user brings none: what EKS Anywhere's default does for the family, ending in the seed
//! and the handover. So an installed system needs no metadata service: it is only asked where an image's cloud-init does
//! not find the seed.
//!
//! The text is a Go template that gives YAML. It is public: Template objects hold no secret.

use std::fmt::Write as _;

use resources::anywhere::User;
use resources::gantry::{DataMount, HandoverPolicy};
use resources::{Compression, ImageManifest};

use crate::cloud_init::{FIRST_BOOT_SCRIPT, meta_data, network_config, user_data};
use crate::data_mounts;
use crate::error::Error;
use crate::host_network::{HostNetwork, KEY_FILES};
use crate::system::System;

/// Bytes of the raw disk that a slow disk writes and reads back in a second: 50 MB/s each way.
const SLOW_DISK: u64 = 25_000_000;

/// What an installation needs to know.
#[derive(Debug, Clone)]
pub struct InstallInputs<'a> {
    /// Name of the workflow.
    pub workflow: &'a str,
    /// Host name.
    pub machine: &'a str,
    /// Instance id of cloud-init: another one for every installation, so that cloud-init starts from scratch.
    pub instance_id: &'a str,
    /// Network of the installed system ([`HostNetwork::of`]).
    pub network: &'a HostNetwork,
    /// The image.
    pub image: &'a ImageManifest,
    /// Where the agent fetches it, such as `http://192.0.2.5:7080/images/HEX`.
    pub image_url: &'a str,
    /// Operating system family, as cluster YAML spells it.
    pub os_family: &'a str,
    /// Where the metadata service answers, such as `http://192.0.2.5:7080`.
    pub metadata_url: &'a str,
    /// Users of the installed system.
    pub users: &'a [User],
    /// What the installed system mounts of its data disks.
    pub mounts: &'a [DataMount],
    /// How the machine gets from the installer to the installed system.
    pub handover: HandoverPolicy,
    /// Multiplies the timeouts of the actions; 1 on real machines.
    pub patience: u32,
}

/// The Template's text.
///
/// # Errors
/// When a part cannot be printed, or the operating system is none that this workflow knows.
pub fn template(inputs: &InstallInputs<'_>) -> Result<String, Error> {
    let system = System::of(inputs.os_family).ok_or_else(|| Error::OsFamily {
        os_family: inputs.os_family.to_owned(),
    })?;
    let fs_type = system.root_file_system();
    let patience = inputs.patience.max(1);
    let for_the_disk = u32::try_from(inputs.image.raw_size / SLOW_DISK).unwrap_or(u32::MAX);
    let mut text = String::new();
    let name = quoted(inputs.workflow);
    let _ = write!(
        text,
        "version: \"0.1\"\nname: {name}\nglobal_timeout: {}\ntasks:\n- name: {name}\n  worker: \"{{{{.device_1}}}}\"\n  \
         volumes:\n  - /dev:/dev\n  - /dev/console:/dev/console\n  - /lib/firmware:/lib/firmware:ro\n  actions:\n",
        (6000 + u64::from(for_the_disk)) * u64::from(patience),
    );
    let disk = "{{ index .Hardware.Disks 0 }}".to_owned();
    let root = inputs.image.root_partition;
    let root = root.unwrap_or_else(|| system.root_partition());
    let partition = format!("{{{{ formatPartition ( index .Hardware.Disks 0 ) {root} }}}}");
    action(
        &mut text,
        "stream-image",
        "image2disk",
        for_the_disk.saturating_add(600).saturating_mul(patience),
        &image_environment(inputs, disk),
    );
    for (name, path, contents) in files(inputs, system) {
        action(
            &mut text,
            name,
            "writefile",
            90 * patience,
            &file_environment((&partition, fs_type), &path, contents),
        );
    }
    for (number, (path, contents)) in (1..).zip(data_mounts::files(inputs.mounts)) {
        action(
            &mut text,
            &format!("mount-data-disks-{number}"),
            "writefile",
            90 * patience,
            &file_environment((&partition, fs_type), &path, contents),
        );
    }
    let seed = [
        ("DEST_DISK", Text::Template(partition.clone())),
        ("FS_TYPE", Text::Plain(fs_type.to_owned())),
        (
            "META_DATA",
            Text::Plain(meta_data(inputs.instance_id, inputs.machine)?),
        ),
        ("USER_DATA", Text::Plain(user_data(inputs.machine, inputs.users)?)),
        ("NETWORK_CONFIG", Text::Plain(network_config(inputs.network))),
        ("FIRST_BOOT_SCRIPT", Text::Plain(FIRST_BOOT_SCRIPT.to_owned())),
    ];
    action(&mut text, "leave-first-boot-seed", "seed", 90 * patience, &seed);
    let handover = match inputs.handover {
        HandoverPolicy::Auto => "auto",
        HandoverPolicy::Kexec => "kexec",
        HandoverPolicy::Reboot => "reboot",
    };
    let handover = [
        ("BLOCK_DEVICE", Text::Template(partition)),
        ("FS_TYPE", Text::Plain(fs_type.to_owned())),
        ("HANDOVER", Text::Plain(handover.to_owned())),
    ];
    action(&mut text, "hand-over", "handover", 90 * patience, &handover);
    Ok(text)
}

/// Files that EKS Anywhere's workflow writes too: name of the action, path, contents.
fn files(inputs: &InstallInputs<'_>, system: System) -> Vec<(&'static str, String, String)> {
    let mut files = system.network_files(inputs.network);
    let (datasource, identify) = if system.is_own() {
        (
            "datasource_list: [NoCloud, None]\nmanage_etc_hosts: localhost\n".to_owned(),
            "datasource: NoCloud\n",
        )
    } else {
        // Not `datasource`, which would leave the seed as the only source.
        (ec2_as_well(inputs.metadata_url), "policy: enabled\n")
    };
    for (name, path, contents) in [
        (
            "disable-cloud-init-network-capabilities",
            "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg",
            "network: {config: disabled}\n".to_owned(),
        ),
        // The last of the files there counts; those of an image may have names that begin with 99 as well.
        (
            "add-cloud-init-datasource",
            "/etc/cloud/cloud.cfg.d/99-gantry-datasource.cfg",
            datasource,
        ),
        (
            "add-cloud-init-ds-identify",
            "/etc/cloud/ds-identify.cfg",
            identify.to_owned(),
        ),
    ] {
        files.push((name, path.to_owned(), contents));
    }
    files
}

/// cloud-init's settings for an image of the user's: the seed, else the metadata service, which has what is public.
fn ec2_as_well(metadata_url: &str) -> String {
    format!(
        "datasource_list: [NoCloud, Ec2, None]\ndatasource:\n  Ec2:\n    metadata_urls: [{metadata_url:?}]\n    strict_id: \
         false\nmanage_etc_hosts: localhost\nwarnings:\n  dsid_missing_source: off\n"
    )
}

/// A value of the environment.
enum Text {
    /// Go template text of ours.
    Template(String),
    /// A value that no template may touch.
    Plain(String),
}

fn image_environment(inputs: &InstallInputs<'_>, disk: String) -> Vec<(&'static str, Text)> {
    let image = inputs.image;
    let compressed = image.compression != Compression::Raw;
    let plain = |text: &dyn std::fmt::Display| Text::Plain(text.to_string());
    let mut environment = vec![
        ("IMG_URL", plain(&inputs.image_url)),
        ("DEST_DISK", Text::Template(disk)),
        ("COMPRESSED", plain(&compressed)),
        ("IMG_DIGEST", plain(&image.digest)),
        ("IMG_RAW_DIGEST", plain(&image.raw_digest)),
        ("IMG_RAW_SIZE", plain(&image.raw_size)),
    ];
    if let Some(references) = &image.guid_references {
        let list: Vec<String> = references.iter().map(ToString::to_string).collect();
        environment.push(("PARTITION_GUIDS", plain(&"renew")));
        environment.push(("GUID_REFERENCES", plain(&list.join(","))));
    }
    environment
}

fn file_environment(
    (partition, fs_type): (&str, &str),
    path: &str,
    contents: String,
) -> Vec<(&'static str, Text)> {
    let is_private = ["/etc/netplan/", KEY_FILES]
        .iter()
        .any(|folder| path.starts_with(folder));
    let plain = |text: &str| Text::Plain(text.to_owned());
    vec![
        ("DEST_DISK", Text::Template(partition.to_owned())),
        ("FS_TYPE", plain(fs_type)),
        ("DEST_PATH", plain(path)),
        ("CONTENTS", Text::Plain(contents)),
        ("UID", plain("0")),
        ("GID", plain("0")),
        ("MODE", plain(if is_private { "0600" } else { "0644" })),
        ("DIRMODE", plain("0755")),
    ]
}

fn action(text: &mut String, name: &str, image: &str, timeout: u32, environment: &[(&str, Text)]) {
    let _ = write!(
        text,
        "  - name: {name}\n    image: gantry/{image}\n    timeout: {timeout}\n    environment:\n"
    );
    for (key, value) in environment {
        let value = match value {
            Text::Template(template) => format!("\"{template}\""),
            Text::Plain(value) => quoted(value),
        };
        let _ = writeln!(text, "      {key}: {value}");
    }
}

/// A double-quoted YAML scalar on one line (a JSON string is one) that the template engine leaves as it is. Braces are
/// written as escapes, so no value can open an action of the template.
pub(crate) fn quoted(value: &str) -> String {
    serde_json::Value::from(value)
        .to_string()
        .replace('{', "\\u007b")
        .replace('}', "\\u007d")
}
