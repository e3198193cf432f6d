//! The values of all settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use boot_script::UnknownPolicy;
use resources::gantry::WipePolicy;
use servers::ControlPlaneProof;

use super::copies::SnapshotCopySettings;

/// What `gantry serve` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Data directory.
    pub data: PathBuf,
    /// Directory of keys.
    pub key_dir: PathBuf,
    /// Name of the site in certificates.
    pub site: String,
    /// Where the Kubernetes API listens.
    pub api_listen: SocketAddr,
    /// Network interface of the boot services; none without boot services.
    pub interface: Option<String>,
    /// Address of the boot services (`tinkerbellIP`).
    pub address: Option<Ipv4Addr>,
    /// Port of HTTP.
    pub http_port: u16,
    /// Port of the agent endpoint.
    pub agent_port: u16,
    /// What machines get that no Hardware names.
    pub unknown_machines: UnknownPolicy,
    /// Whether machines without an attempt boot the installer.
    pub idle_installer: bool,
    /// Whether metadata gives user data to whoever has a machine's address.
    pub serve_user_data_by_address: bool,
    /// Whether control-plane machines with a BMC must be confirmed by it.
    pub control_plane_proof: ControlPlaneProof,
    /// Minutes from power-on to a machine's first packet, where its Server does not say.
    pub post_minutes: u32,
    /// Minutes until somebody powers an armed machine on that Gantry does not, where its Server does not say.
    pub manual_minutes: u32,
    /// Minutes after a failed installation in which a server is taken only where no other free one fits.
    pub server_cooldown_minutes: u32,
    /// What is done with the disks of a server that is given back, where its Server does not say.
    pub wipe_released_servers: WipePolicy,
    /// Hours after which a new snapshot of a cluster's etcd is taken; 0 for none.
    pub etcd_snapshot_hours: u32,
    /// How many snapshots of each cluster's etcd are kept.
    pub etcd_snapshots_kept: u32,
    /// Days before their end on which certificates of a cluster's control plane are renewed; 0 for never by itself.
    pub renew_certificates_days: u32,
    /// Where snapshots are copied to.
    pub snapshot_copies: SnapshotCopySettings,
    /// Days after which a restore of a cluster's etcd is rehearsed again; 0 for never by itself.
    pub etcd_drill_days: u32,
    /// Folder in which restores are rehearsed.
    pub etcd_drill_folder: PathBuf,
    /// Whether a server whose installation failed is kept for inspection when its machine is deleted.
    pub keep_failed_servers: bool,
    /// File of the plugin drivers.
    pub drivers_file: Option<PathBuf>,
    /// Further kernel arguments of the installer.
    pub kernel_arguments: Vec<String>,
    /// Whether router solicitations are answered.
    pub router_advertisement: bool,
    /// Boot events, and lines of actions, that are kept of each machine.
    pub records_per_machine: u32,
    /// Folder of installer, iPXE, node images and release.
    pub parts: Option<PathBuf>,
    /// Whether nodes get the relaxed timings that emulated machines need.
    pub lab_timings: bool,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
    /// Log file beside standard error.
    pub log_file: Option<PathBuf>,
}

impl Settings {
    /// Settings before any key was set.
    pub(super) fn empty() -> Self {
        Self {
            data: PathBuf::new(),
            key_dir: PathBuf::new(),
            site: String::new(),
            api_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            interface: None,
            address: None,
            http_port: 0,
            agent_port: 0,
            unknown_machines: UnknownPolicy::Silent,
            idle_installer: false,
            serve_user_data_by_address: false,
            control_plane_proof: ControlPlaneProof::default(),
            post_minutes: 0,
            manual_minutes: 0,
            server_cooldown_minutes: 0,
            wipe_released_servers: WipePolicy::None,
            keep_failed_servers: false,
            drivers_file: None,
            kernel_arguments: Vec::new(),
            router_advertisement: false,
            records_per_machine: 0,
            parts: None,
            etcd_snapshot_hours: 12,
            etcd_snapshots_kept: 4,
            snapshot_copies: SnapshotCopySettings::default(),
            etcd_drill_days: 0,
            etcd_drill_folder: PathBuf::new(),
            renew_certificates_days: 90,
            lab_timings: false,
            log: String::new(),
            log_format: LogFormat::Text,
            log_file: None,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
