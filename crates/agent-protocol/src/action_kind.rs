//! Which native action an action's image stands for.
//!
//! Users' templates name container images (`quay.io/tinkerbell/actions/image2disk:latest`, a mirror of it, or just
//! `image2disk`). What counts is the last path component without tag and digest, so mirrors and pinned digests work.

use std::fmt;

/// The actions that the agent carries out itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// Stream an image to a disk.
    Image2disk,
    /// Write a file into a file system.
    Writefile,
    /// Leave the first-boot seed in the installed file system.
    Seed,
    /// Start the installed kernel.
    Kexec,
    /// Restart the machine.
    Reboot,
    /// Leave the installer by kexec or restart, as policy and machine allow.
    Handover,
    /// Take the system off a disk that an earlier attempt has written to.
    Wipe,
    /// Report what the machine is, and stay for a while.
    Inspect,
    /// Renew certificates that have ended, in the installed system of a member of a control plane.
    RenewCertificates,
}

impl ActionKind {
    /// Every kind, in the order of an installation; what undoes one comes last.
    pub const ALL: [Self; 9] = [
        Self::Image2disk,
        Self::Writefile,
        Self::Seed,
        Self::Kexec,
        Self::Reboot,
        Self::Handover,
        Self::Wipe,
        Self::Inspect,
        Self::RenewCertificates,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image2disk => "image2disk",
            Self::Writefile => "writefile",
            Self::Seed => "seed",
            Self::Kexec => "kexec",
            Self::Reboot => "reboot",
            Self::Handover => "handover",
            Self::Wipe => "wipe",
            Self::Inspect => "inspect",
            Self::RenewCertificates => "renew-certificates",
        }
    }

    /// By the name on the wire.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// From an image reference as a template spells it; `None` when there is no native action for it.
    #[must_use]
    pub fn of_image(reference: &str) -> Option<Self> {
        let without_digest = reference.split_once('@').map_or(reference, |(name, _)| name);
        let last = without_digest.rsplit('/').next()?;
        let name = last.split_once(':').map_or(last, |(name, _)| name);
        Self::by_name(name.trim())
    }

    /// From an image reference as a template spells it.
    ///
    /// # Errors
    /// Why there is no native action for it, and which there are.
    pub fn native(reference: &str) -> Result<Self, String> {
        Self::of_image(reference).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            let hint = if reference.contains("waitdaemon") {
                "; it is not needed: the agent reports success before kexec and reboot"
            } else {
                ""
            };
            format!(
                "there is no native action for {reference:?}{hint}; supported are {}",
                names.join(", ")
            )
        })
    }

    /// Whether the machine leaves the installer in this action: it must be disarmed before the action is handed out,
    /// and the agent reports success before it goes.
    #[must_use]
    pub const fn leaves_installer(self) -> bool {
        matches!(self, Self::Kexec | Self::Reboot | Self::Handover)
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_path_component_names_the_action() {
        let table = [
            (
                "quay.io/tinkerbell/actions/image2disk:latest",
                Some(ActionKind::Image2disk),
            ),
            (
                "registry.example:5000/mirror/writefile",
                Some(ActionKind::Writefile),
            ),
            (
                "public.ecr.aws/eks-anywhere/tinkerbell/hub/reboot:v1@sha256:00ff",
                Some(ActionKind::Reboot),
            ),
            ("image2disk:v1.0.0", Some(ActionKind::Image2disk)),
            (
                "quay.io/tinkerbell/actions/kexec@sha256:abcd",
                Some(ActionKind::Kexec),
            ),
            ("gantry/seed", Some(ActionKind::Seed)),
            ("handover", Some(ActionKind::Handover)),
            ("gantry/wipe", Some(ActionKind::Wipe)),
            ("gantry/renew-certificates", Some(ActionKind::RenewCertificates)),
            ("quay.io/tinkerbell/actions/oci2disk:latest", None),
            ("image2disk/other:1", None),
            ("", None),
        ];
        for (reference, kind) in table {
            assert_eq!(ActionKind::of_image(reference), kind, "{reference}");
        }
    }

    #[test]
    fn every_name_reads_back() {
        for kind in ActionKind::ALL {
            assert_eq!(ActionKind::by_name(kind.name()), Some(kind));
        }
    }
}
