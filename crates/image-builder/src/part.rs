//! The parts that can be built and what each is built from.

use crate::error::{Error, Result};

/// Something with a recipe of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// kubelet, kubeadm, kubectl and the control plane's programs.
    Kubernetes,
    /// The etcd server.
    Etcd,
    /// The cluster's DNS server.
    Coredns,
    /// The pod network's daemon.
    Flannel,
    /// The Helm chart of another pod network, Cilium.
    Cilium,
    /// A Debian tree with everything that the other parts take from it.
    Debian,
    /// Container images of the control plane, DNS, pod network and virtual address.
    Containers,
    /// Kernel, modules and iPXE of the installer OS.
    Boot,
    /// The Debian node's disk image.
    NodeDebian,
}

impl Part {
    /// All, inputs first.
    pub const ALL: [Self; 9] = [
        Self::Kubernetes,
        Self::Etcd,
        Self::Coredns,
        Self::Flannel,
        Self::Cilium,
        Self::Debian,
        Self::Containers,
        Self::Boot,
        Self::NodeDebian,
    ];

    /// Name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
            Self::Coredns => "coredns",
            Self::Flannel => "flannel",
            Self::Cilium => "cilium",
            Self::Debian => "debian",
            Self::Containers => "containers",
            Self::Boot => "boot",
            Self::NodeDebian => "node-debian",
        }
    }

    /// One line for a list.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes programs in one file, kubectl among them",
            Self::Etcd => "etcd server, and etcdutl in the same file",
            Self::Coredns => "cluster DNS server",
            Self::Flannel => "pod network daemon",
            Self::Cilium => "Helm chart of the pod network Cilium",
            Self::Debian => "Debian tree that the other parts start from",
            Self::Containers => "container images that a node brings along",
            Self::Boot => "kernel, modules and iPXE of the installer OS",
            Self::NodeDebian => "disk image of a Debian Kubernetes node",
        }
    }

    /// Parts whose results this one reads.
    #[must_use]
    pub const fn inputs(self) -> &'static [Self] {
        match self {
            Self::Kubernetes | Self::Etcd | Self::Coredns | Self::Flannel | Self::Cilium | Self::Debian => {
                &[]
            }
            Self::Containers => &[
                Self::Kubernetes,
                Self::Etcd,
                Self::Coredns,
                Self::Flannel,
                Self::Debian,
            ],
            Self::Boot => &[Self::Debian],
            Self::NodeDebian => &[Self::Kubernetes, Self::Debian, Self::Containers],
        }
    }

    /// Folders of `images/` that belong to the recipe; those of Kubernetes differ by release.
    pub(crate) const fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => &[],
            Self::Etcd => &["etcd/"],
            Self::Coredns => &["coredns/"],
            Self::Flannel => &["flannel/go."],
            Self::Cilium => &["cilium/"],
            Self::Debian => &["debian/"],
            Self::Containers => &["containers/", "pause/", "flannel/write-cni-conf.sh"],
            Self::Boot => &["installer/"],
            Self::NodeDebian => &["node/"],
        }
    }

    /// Raised when the code that follows the recipe changes its result.
    pub(crate) const fn revision(self) -> u32 {
        match self {
            Self::Kubernetes | Self::Etcd | Self::Coredns | Self::Flannel | Self::Cilium | Self::Debian => 1,
            Self::Containers | Self::Boot => 1,
            Self::NodeDebian => 3,
        }
    }

    /// Number of steps that are announced.
    pub(crate) const fn steps(self) -> u32 {
        match self {
            Self::Kubernetes | Self::Etcd | Self::Coredns | Self::Flannel | Self::Debian => 1,
            Self::Containers => 3,
            Self::Boot | Self::Cilium => 2,
            Self::NodeDebian => 6,
        }
    }

    /// The part of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|part| part.name() == name)
            .ok_or_else(|| Error::UnknownPart {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }

    /// The wanted parts and everything they are made of, inputs first, each once.
    #[must_use]
    pub fn with_inputs(wanted: &[Self]) -> Vec<Self> {
        let needed = |part: Self| wanted.iter().any(|&want| want == part || want.reaches(part));
        Self::ALL.into_iter().filter(|&part| needed(part)).collect()
    }

    fn reaches(self, part: Self) -> bool {
        self.inputs()
            .iter()
            .any(|&input| input == part || input.reaches(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_before_what_is_made_of_them() {
        for (at, part) in Part::ALL.into_iter().enumerate() {
            for input in part.inputs() {
                assert!(
                    Part::ALL[..at].contains(input),
                    "{part:?} before its input {input:?}"
                );
            }
        }
    }

    #[test]
    fn a_wanted_part_brings_its_inputs_once() {
        assert_eq!(Part::with_inputs(&[Part::Boot]), [Part::Debian, Part::Boot]);
        let all = Part::ALL.into_iter().filter(|part| *part != Part::Cilium);
        let wanted = Part::with_inputs(&[Part::NodeDebian, Part::Boot]);
        assert_eq!(wanted, all.collect::<Vec<_>>());
        assert_eq!(Part::with_inputs(&[Part::Etcd]), [Part::Etcd]);
    }

    #[test]
    fn names_are_read_back() {
        for part in Part::ALL {
            assert_eq!(Part::named(part.name()).unwrap(), part);
        }
        let error = Part::named("node").unwrap_err().to_string();
        assert!(error.contains("node-debian"), "{error}");
    }
}
