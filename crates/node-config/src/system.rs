//! Operating systems of node images: those that `gantry image build` makes, and those that users bring, built for EKS Anywhere
//! or in its layout. Where they differ in what their nodes are told is said here, and nowhere by the name of a family.

use crate::host_network::{HostNetwork, KEY_FILES, key_file, netplan};

/// Operating system of a node image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Gantry's own image.
    Debian,
    /// An image of the user's, as image-builder makes it for `osFamily: ubuntu`.
    Ubuntu,
    /// An image of the user's, as image-builder makes it for `osFamily: redhat`.
    RedHat,
    /// A container image for a Docker daemon, made of Gantry's own image.
    Docker,
}

impl System {
    /// By the family as cluster YAML spells it; `None` for one whose machines can't be installed.
    #[must_use]
    pub fn of(os_family: &str) -> Option<Self> {
        match os_family {
            "debian" => Some(Self::Debian),
            "ubuntu" => Some(Self::Ubuntu),
            "redhat" => Some(Self::RedHat),
            "docker" => Some(Self::Docker),
            _ => None,
        }
    }

    /// Whether the image is Gantry's own: then it has every container image that a node starts, and one root file system that
    /// is known.
    pub(crate) const fn is_own(self) -> bool {
        matches!(self, Self::Debian | Self::Docker)
    }

    /// Number of the partition with the root file system, where the partition table does not tell.
    #[must_use]
    pub const fn root_partition(self) -> u32 {
        match self {
            Self::Debian | Self::Ubuntu | Self::Docker => 2,
            Self::RedHat => 1,
        }
    }

    /// Type of the root file system; `auto` has the agent look.
    pub(crate) const fn root_file_system(self) -> &'static str {
        if self.is_own() { "ext4" } else { "auto" }
    }

    /// Where the real name servers stand: what a resolver of the machine's own listens to on the loopback interface is no use to
    /// pods.
    pub(crate) const fn resolv_conf(self) -> &'static str {
        match self {
            Self::Debian | Self::Ubuntu => "/run/systemd/resolve/resolv.conf",
            Self::RedHat | Self::Docker => "/etc/resolv.conf",
        }
    }

    /// The files that set up the network: name of the action that writes one, path, contents. Only root may read them.
    pub(crate) fn network_files(self, network: &HostNetwork) -> Vec<(&'static str, String, String)> {
        match self {
            // A daemon sets up the network of its containers.
            Self::Docker => Vec::new(),
            Self::Debian | Self::Ubuntu => vec![(
                "write-netplan",
                "/etc/netplan/config.yaml".to_owned(),
                netplan(network),
            )],
            Self::RedHat => key_file(network)
                .into_iter()
                .map(|(action, name, text)| {
                    let path = format!("{KEY_FILES}/{name}.nmconnection");
                    (action, path, text)
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_whose_machines_are_installed() {
        for (family, system) in [
            ("debian", Some(System::Debian)),
            ("ubuntu", Some(System::Ubuntu)),
            ("redhat", Some(System::RedHat)),
            ("docker", Some(System::Docker)),
            ("bottlerocket", None),
            ("", None),
        ] {
            assert_eq!(System::of(family), system, "{family}");
        }
    }
}
