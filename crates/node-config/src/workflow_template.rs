//! The workflow that installs a node when the user brings none: for Debian what EKS Anywhere's does for Ubuntu, ending in
//! the seed and the handover instead of a metadata service and a reboot.
//!
//! The text is a Go template that gives YAML. It is public: Template objects hold no secret.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use resources::anywhere::User;
use resources::{Digest, ImageManifest};

use crate::cloud_init::{FIRST_BOOT_SCRIPT, meta_data, network_config, user_data};
use crate::error::Error;
use crate::host_network::{HostNetwork, netplan};

/// Partition of the root file system where a manifest does not say.
const ROOT_PARTITION: u32 = 2;

/// What an installation needs to know.
#[derive(Debug, Clone)]
pub struct InstallSettings<'a> {
    /// Name of the workflow.
    pub name: &'a str,
    /// Address of the appliance (`tinkerbellIP`).
    pub appliance: Ipv4Addr,
    /// Port of the appliance's HTTP server.
    pub http_port: u16,
    /// The image.
    pub image: &'a ImageManifest,
    /// Host name.
    pub hostname: &'a str,
    /// Network of the installed system.
    pub network: &'a HostNetwork,
    /// Users of the installed system.
    pub users: &'a [User],
    /// Instance id of cloud-init: another one for every installation.
    pub instance_id: &'a str,
    /// `auto`, `kexec` or `reboot`.
    pub handover: &'a str,
    /// Multiplies the timeouts of the actions; 1 on real machines.
    pub patience: u32,
}

/// The Template's text.
///
/// # Errors
/// When a part cannot be printed.
pub fn default_workflow(settings: &InstallSettings<'_>) -> Result<String, Error> {
    let patience = settings.patience.max(1);
    let mut text = String::new();
    let _ = write!(
        text,
        "version: \"0.1\"\nname: {}\nglobal_timeout: {}\ntasks:\n- name: {}\n  worker: \"{{{{.device_1}}}}\"\n  \
         volumes:\n  - /dev:/dev\n  - /dev/console:/dev/console\n  - /lib/firmware:/lib/firmware:ro\n  actions:\n",
        quoted(settings.name),
        6000 * u64::from(patience),
        quoted(settings.name),
    );
    let disk = "{{ index .Hardware.Disks 0 }}".to_owned();
    let partition = format!(
        "{{{{ formatPartition ( index .Hardware.Disks 0 ) {} }}}}",
        settings.image.root_partition.unwrap_or(ROOT_PARTITION)
    );
    action(
        &mut text,
        "stream-image",
        "image2disk",
        600 * patience,
        &image_environment(settings, &disk),
    );
    for (name, path, contents) in [
        (
            "write-netplan",
            "/etc/netplan/config.yaml",
            netplan(settings.network),
        ),
        (
            "disable-cloud-init-network-capabilities",
            "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg",
            "network: {config: disabled}\n".to_owned(),
        ),
        (
            "add-cloud-init-datasource",
            "/etc/cloud/cloud.cfg.d/99-gantry-datasource.cfg",
            "datasource_list: [NoCloud, None]\nmanage_etc_hosts: localhost\n".to_owned(),
        ),
        (
            "add-cloud-init-ds-identify",
            "/etc/cloud/ds-identify.cfg",
            "datasource: NoCloud\n".to_owned(),
        ),
    ] {
        action(
            &mut text,
            name,
            "writefile",
            90 * patience,
            &file_environment(&partition, path, contents),
        );
    }
    let seed = [
        ("DEST_DISK", Text::Template(partition.clone())),
        ("FS_TYPE", Text::Plain("ext4".to_owned())),
        (
            "META_DATA",
            Text::Plain(meta_data(settings.instance_id, settings.hostname)?),
        ),
        (
            "USER_DATA",
            Text::Plain(user_data(settings.hostname, settings.users)?),
        ),
        ("NETWORK_CONFIG", Text::Plain(network_config(settings.network))),
        ("FIRST_BOOT_SCRIPT", Text::Plain(FIRST_BOOT_SCRIPT.to_owned())),
    ];
    action(&mut text, "leave-first-boot-seed", "seed", 90 * patience, &seed);
    let handover = [
        ("BLOCK_DEVICE", Text::Template(partition)),
        ("FS_TYPE", Text::Plain("ext4".to_owned())),
        ("HANDOVER", Text::Plain(settings.handover.to_owned())),
    ];
    action(&mut text, "hand-over", "handover", 90 * patience, &handover);
    Ok(text)
}

/// A value of the environment.
enum Text {
    /// Go template text of ours.
    Template(String),
    /// A value that no template may touch.
    Plain(String),
}

fn image_environment(settings: &InstallSettings<'_>, disk: &str) -> Vec<(&'static str, Text)> {
    let image = settings.image;
    let url = format!(
        "http://{}:{}/images/{}",
        settings.appliance,
        settings.http_port,
        image.digest.hex()
    );
    let compressed = image.compression != resources::Compression::Raw;
    let digest = |digest: Digest| Text::Plain(digest.to_string());
    vec![
        ("IMG_URL", Text::Plain(url.clone())),
        ("DEST_DISK", Text::Template(disk.to_owned())),
        ("COMPRESSED", Text::Plain(compressed.to_string())),
        ("IMG_DIGEST", digest(image.digest)),
        ("IMG_RAW_DIGEST", digest(image.raw_digest)),
        ("IMG_RAW_SIZE", Text::Plain(image.raw_size.to_string())),
        ("IMG_MANIFEST_URL", Text::Plain(format!("{url}/manifest.json"))),
    ]
}

fn file_environment(partition: &str, path: &str, contents: String) -> Vec<(&'static str, Text)> {
    let plain = |text: &str| Text::Plain(text.to_owned());
    vec![
        ("DEST_DISK", Text::Template(partition.to_owned())),
        ("FS_TYPE", plain("ext4")),
        ("DEST_PATH", plain(path)),
        ("CONTENTS", Text::Plain(contents)),
        ("UID", plain("0")),
        ("GID", plain("0")),
        (
            "MODE",
            plain(if path.starts_with("/etc/netplan/") {
                "0600"
            } else {
                "0644"
            }),
        ),
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
fn quoted(value: &str) -> String {
    serde_json::Value::from(value)
        .to_string()
        .replace('{', "\\u007b")
        .replace('}', "\\u007d")
}
