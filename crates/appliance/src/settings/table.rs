//! The table of keys. File, flags, environment and the commented example are all made from it.

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};

use boot_script::UnknownPolicy;
use resources::gantry::WipePolicy;
use servers::ControlPlaneProof;

use super::parse::{minutes, number, optional, optional_path, parsed, path, port, site};
use super::{LogFormat, Settings, copies};

/// Data directory when nothing else is said.
pub const DEFAULT_DATA: &str = "/var/lib/gantry";

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Name in the file.
    pub name: &'static str,
    /// What kind of value, for help texts.
    pub value: &'static str,
    /// Text of the default; empty when there is none.
    pub default: &'static str,
    /// A value to show where there is no default.
    pub example: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Takes the value.
    pub(crate) set: fn(&mut Settings, &str) -> Result<(), String>,
}

/// All settings, in the order of the example.
pub const KEYS: &[Key] = &[
    Key {
        name: "data",
        value: "DIR",
        default: DEFAULT_DATA,
        example: "",
        about: "Objects, records, images and the admin's kubeconfig. One process at a time uses it.",
        set: |s, text| path(text).map(|path| s.data = path),
    },
    Key {
        name: "keyDir",
        value: "DIR",
        default: "/etc/gantry/keys",
        example: "",
        about: "Site CA and sealing key, made at the first start (0700, files 0600). Never inside `data`.",
        set: |s, text| path(text).map(|path| s.key_dir = path),
    },
    Key {
        name: "site",
        value: "NAME",
        default: "gantry",
        example: "",
        about: "Name of the site in its certificates. Agents check it; it cannot change later.",
        set: |s, text| site(text).map(|name| s.site = name),
    },
    Key {
        name: "apiListen",
        value: "ADDRESS:PORT",
        default: "127.0.0.1:6443",
        example: "",
        about: "Where the Kubernetes API listens (TLS).",
        set: |s, text| parsed::<SocketAddr>(text, "an address and a port").map(|a| s.api_listen = a),
    },
    Key {
        name: "interface",
        value: "NAME",
        default: "",
        example: "eth1",
        about: "Network interface towards the machines. Without it no boot service runs.",
        set: |s, text| {
            s.interface = optional(text);
            Ok(())
        },
    },
    Key {
        name: "address",
        value: "IPV4",
        default: "",
        example: "192.168.10.2",
        about: "Address of DHCP, TFTP, HTTP and the agent endpoint: tinkerbellIP of the clusters. Added to the\n\
                interface after a check that nobody else has it, unless it is there already.",
        set: |s, text| {
            let address = optional(text)
                .map(|text| parsed::<Ipv4Addr>(&text, "an IPv4 address"))
                .transpose();
            address.map(|address| s.address = address)
        },
    },
    Key {
        name: "httpPort",
        value: "PORT",
        default: "7080",
        example: "",
        about: "Port of HTTP: boot scripts, kernel, initramfs, images, metadata.",
        set: |s, text| port(text).map(|port| s.http_port = port),
    },
    Key {
        name: "agentPort",
        value: "PORT",
        default: "7443",
        example: "",
        about: "Port of the agent endpoint (gRPC and first boot, TLS).",
        set: |s, text| port(text).map(|port| s.agent_port = port),
    },
    Key {
        name: "unknownMachines",
        value: "silent|installer",
        default: "silent",
        example: "",
        about: "What a machine gets that no Hardware names: nothing, or the installer without any rights.",
        set: |s, text| {
            s.unknown_machines = match text {
                "silent" => UnknownPolicy::Silent,
                "installer" => UnknownPolicy::Installer,
                _ => return Err("say silent or installer".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "idleInstaller",
        value: "BOOL",
        default: "false",
        example: "",
        about: "Whether machines with allowPXE and no open attempt boot the installer, which then waits.",
        set: |s, text| parsed::<bool>(text, "true or false").map(|on| s.idle_installer = on),
    },
    Key {
        name: "serveUserDataByAddress",
        value: "BOOL",
        default: "false",
        example: "",
        about: "Whether the metadata service gives a Hardware's `spec.userData` to whoever has the machine's address, for\n\
                templates with the Ec2 source. WARNING: an address proves little; whoever takes it on that network, and\n\
                every process and pod on the machine itself, can read what is in it. Installed systems of clusters do not\n\
                need it: they get their data by certificate.",
        set: |s, text| parsed::<bool>(text, "true or false").map(|on| s.serve_user_data_by_address = on),
    },
    Key {
        name: "controlPlaneProof",
        value: "bmc|none",
        default: "bmc",
        example: "",
        about: "What proves that a control-plane machine with a BMC is the machine that was asked for before it gets keys:\n\
                its BMC (UUID or serial number, and network interfaces), or nothing but what it says on the network. A BMC\n\
                that contradicts the machine is believed in both cases.",
        set: |s, text| {
            s.control_plane_proof = match text {
                "bmc" => ControlPlaneProof::Bmc,
                "none" => ControlPlaneProof::None,
                _ => return Err("say bmc or none".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "postMinutes",
        value: "MINUTES",
        default: "30",
        example: "",
        about: "Minutes that a machine's firmware may take from power-on to its first packet, after which the attempt\n\
                ends with the reason; `spec.postMinutes` of a Server wins.",
        set: |s, text| minutes(text, 1440).map(|minutes| s.post_minutes = minutes),
    },
    Key {
        name: "manualMinutes",
        value: "MINUTES",
        default: "1440",
        example: "",
        about: "Minutes that an armed machine waits for somebody to power it on where Gantry does not (no BMC, or a\n\
                workflow without a boot mode); `spec.manualMinutes` of a Server wins.",
        set: |s, text| minutes(text, 43_200).map(|minutes| s.manual_minutes = minutes),
    },
    Key {
        name: "serverCooldownMinutes",
        value: "MINUTES",
        default: "1440",
        example: "",
        about: "Minutes after a failed installation in which a server is taken only where no other free one fits;\n\
                `gantry retry server NAME` ends them.",
        set: |s, text| minutes(text, 43_200).map(|minutes| s.server_cooldown_minutes = minutes),
    },
    Key {
        name: "wipeReleasedServers",
        value: "POLICY",
        default: "none",
        example: "",
        about: "What is done with the disks that hold a machine's system before its server is given back: none (keys, data and\n\
                a system that boots stay on them) or quick (the machine boots the installer once more, which overwrites all files\n\
                and clears every signature; it can't be undone). `spec.wipe` of a Server wins.",
        set: |s, text| {
            parsed::<WipePolicy>(text, "none or quick").map(|policy| s.wipe_released_servers = policy)
        },
    },
    Key {
        name: "etcdSnapshotHours",
        value: "HOURS",
        default: "12",
        example: "",
        about: "How old the newest snapshot of a cluster's etcd may become; 0 takes one only when `gantry snapshot cluster NAME`\n\
                asks for it. They lie sealed in the data directory and hold the cluster's Secrets.",
        set: |s, text| number(text, 0, 8760, "hours").map(|hours| s.etcd_snapshot_hours = hours),
    },
    Key {
        name: "etcdSnapshotsKept",
        value: "COUNT",
        default: "4",
        example: "",
        about: "How many snapshots of each cluster's etcd are kept.",
        set: |s, text| number(text, 1, 100, "snapshots").map(|count| s.etcd_snapshots_kept = count),
    },
    Key {
        name: "renewCertificatesDays",
        value: "DAYS",
        default: "90",
        example: "",
        about: "How many days before their end the certificates of a cluster's control plane are renewed, one member after the\n\
                other; those that live shorter than a year get new ones when a third of their life is left, if that is later.\n\
                0 renews them only when `gantry renew certificates NAME` asks for it.",
        set: |s, text| number(text, 0, 120, "days").map(|days| s.renew_certificates_days = days),
    },
    Key {
        name: "etcdSnapshotCopies",
        value: "DIR|s3://BUCKET/PREFIX",
        default: "",
        example: "/mnt/backup/gantry",
        about: "Where the newest snapshot of each cluster's etcd is copied to, sealed with the key of `etcdSnapshotKeyFile`: a\n\
                directory that is there, or a bucket. Of a mounted file system name a folder in it, so that nothing is\n\
                written where it is not mounted.",
        set: |s, text| copies::place(text).map(|place| s.snapshot_copies.place = place),
    },
    Key {
        name: "etcdSnapshotCopiesKept",
        value: "COUNT",
        default: "14",
        example: "",
        about: "How many copies of each cluster's snapshots are kept there; those of a cluster that is deleted stay.",
        set: |s, text| number(text, 1, 10_000, "copies").map(|count| s.snapshot_copies.kept = count),
    },
    Key {
        name: "etcdSnapshotKeyFile",
        value: "FILE",
        default: "",
        example: "/etc/gantry/snapshots.key",
        about: "Key that seals the copies: 64 hexadecimal digits (openssl rand -hex 32). Keep it elsewhere too: without it\n\
                nobody can read them.",
        set: |s, text| optional_path(text).map(|path| s.snapshot_copies.key = path),
    },
    Key {
        name: "etcdSnapshotS3Endpoint",
        value: "URL",
        default: "",
        example: "https://s3.example.com",
        about: "Store of the bucket (https; the bucket is in the path). Without it Amazon's of the region.",
        set: |s, text| {
            s.snapshot_copies.endpoint = optional(text);
            Ok(())
        },
    },
    Key {
        name: "etcdSnapshotS3Region",
        value: "NAME",
        default: "us-east-1",
        example: "",
        about: "Region of the bucket.",
        set: |s, text| {
            text.clone_into(&mut s.snapshot_copies.region);
            Ok(())
        },
    },
    Key {
        name: "etcdSnapshotS3Credentials",
        value: "FILE|env|secret:NAMESPACE/NAME",
        default: "",
        example: "/etc/gantry/s3-credentials",
        about: "Where the key for the bucket is: a file with lines `aws_access_key_id = ...` and `aws_secret_access_key = ...`; the\n\
                environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN); or a Secret of this API with these\n\
                names as keys. File and Secret are read each time.",
        set: |s, text| copies::store_key(text).map(|key| s.snapshot_copies.credentials = key),
    },
    Key {
        name: "etcdSnapshotS3Authorities",
        value: "FILE",
        default: "",
        example: "/etc/gantry/s3-ca.pem",
        about: "Authorities that the store's certificate may come from (PEM), beside those that this machine trusts.",
        set: |s, text| optional_path(text).map(|path| s.snapshot_copies.authorities = path),
    },
    Key {
        name: "etcdDrillDays",
        value: "DAYS",
        default: "0",
        example: "",
        about: "How old the newest drill of a cluster may become: a restore of its newest copy is rehearsed on this machine, and\n\
                nothing of the cluster is touched. 0 rehearses one only when `gantry etcd drill NAME` asks for it.",
        set: |s, text| number(text, 0, 365, "days").map(|days| s.etcd_drill_days = days),
    },
    Key {
        name: "etcdDrillFolder",
        value: "DIR",
        default: "/dev/shm",
        example: "",
        about: "Where a drill keeps the cluster's data while it lasts, in the clear, Secrets too: a tmpfs, so that they never lie on\n\
                a disk, or an encrypted file system. It needs twice the size of the snapshot and 160 MiB.",
        set: |s, text| path(text).map(|path| s.etcd_drill_folder = path),
    },
    Key {
        name: "keepFailedServers",
        value: "BOOL",
        default: "false",
        example: "",
        about: "Whether a server whose installation failed is kept for inspection when its machine is deleted or replaced:\n\
                powered off and claimed, until somebody says `gantry release server NAME --powered-off`.",
        set: |s, text| parsed::<bool>(text, "true or false").map(|keep| s.keep_failed_servers = keep),
    },
    Key {
        name: "driversFile",
        value: "FILE",
        default: "",
        example: "/etc/gantry/drivers.yaml",
        about: "Plugin drivers that are run, and where they make machines (docs/drivers.md). It is read at the start.",
        set: |s, text| optional_path(text).map(|path| s.drivers_file = path),
    },
    Key {
        name: "kernelArguments",
        value: "WORDS",
        default: "",
        example: "console=ttyS0,115200",
        about: "Further kernel arguments of the installer, separated by blanks. Never anything secret.",
        set: |s, text| {
            s.kernel_arguments = text.split_whitespace().map(str::to_owned).collect();
            Ok(())
        },
    },
    Key {
        name: "routerAdvertisement",
        value: "BOOL",
        default: "true",
        example: "",
        about: "Whether router solicitations on `interface` are answered with \"there is no router\" (no prefix, lifetime 0),\n\
                which saves iPXE a wait of 16 s. Turn it off where switches raise an alarm at any router advertisement.",
        set: |s, text| parsed::<bool>(text, "true or false").map(|on| s.router_advertisement = on),
    },
    Key {
        name: "recordsPerMachine",
        value: "COUNT",
        default: "10000",
        example: "",
        about: "Boot events, and lines of actions, that are kept of each machine, 100 to 1000000; the newest.",
        set: |s, text| {
            let count = text
                .parse()
                .ok()
                .filter(|count| (100..=1_000_000).contains(count));
            let count = count.ok_or_else(|| "it must be a number, 100 to 1000000".to_owned());
            count.map(|count| s.records_per_machine = count)
        },
    },
    Key {
        name: "parts",
        value: "DIR",
        default: "",
        example: "/var/lib/gantry-parts",
        about: "Installer, iPXE, node images and release, as `gantry image export DIR` makes them.\n\
                Default: `parts` in the data directory, filled by `gantry image import` or from the image cache of the\n\
                user who starts the server.",
        set: |s, text| optional_path(text).map(|path| s.parts = path),
    },
    Key {
        name: "labTimings",
        value: "BOOL",
        default: "false",
        example: "",
        about: "Relaxed probes, timeouts and timers on nodes, for emulated machines that are many times slower than metal.",
        set: |s, text| parsed::<bool>(text, "true or false").map(|on| s.lab_timings = on),
    },
    Key {
        name: "log",
        value: "FILTER",
        // That a new cluster does not answer yet is a reason to wait, told in its status; the client calls it an error.
        default: "info,kube_client::client::builder=off",
        example: "",
        about: "What is logged: error, warn, info, debug or trace, also by module (`info,dhcp=debug`).",
        set: |s, text| {
            text.clone_into(&mut s.log);
            Ok(())
        },
    },
    Key {
        name: "logFormat",
        value: "text|json",
        default: "text",
        example: "",
        about: "How log lines look.",
        set: |s, text| {
            s.log_format = match text {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err("say text or json".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "logFile",
        value: "FILE",
        default: "",
        example: "/var/log/gantry.log",
        about: "Also log to this file.",
        set: |s, text| {
            optional(text)
                .map(|text| path(&text))
                .transpose()
                .map(|path| s.log_file = path)
        },
    },
];

/// The flag of a key, without dashes: `apiListen` is `api-listen`.
pub fn flag(key: &str) -> String {
    words(key, '-')
}

/// The environment variable of a key: `apiListen` is `GANTRY_API_LISTEN`.
pub fn variable(key: &str) -> String {
    format!("GANTRY_{}", words(key, '_').to_ascii_uppercase())
}

fn words(key: &str, between: char) -> String {
    let mut text = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            text.push(between);
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}
