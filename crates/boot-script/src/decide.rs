//! The netboot decision: what a machine that asks is given. One pure function; every boot service follows it.
//!
//! First match wins:
//!
//! | machine | allowPXE | session | own script | gets |
//! |---|---|---|---|---|
//! | not loaded, ambiguous | | | | nothing |
//! | unknown | | | | what the site says: nothing, or the installer without rights |
//! | known | no netboot block | any | any | not allowed |
//! | known | no, but we installed it | any | any | its disk: firmware that finds nothing tries IPv6 and HTTP for minutes |
//! | known | no | any | any | not allowed |
//! | known | yes | open | yes | its own script |
//! | known | yes | open | no | installer with the boot id |
//! | known | yes | none, and nothing was installed by us | yes | its own script |
//! | known | yes | not open | any | its disk; with `idleInstaller` the installer without a boot id |
//!
//! Only the machine itself ([`Asker`]) has an open session: for everybody else every machine is one without.
//!
//! A session is open when it belongs to the newest attempt, that attempt is neither over nor at its handover, and
//! the session is arming, armed (both before the deadline) or claimed. Every Workflow that is not at its end, also
//! a stock one, raises the attempt, so the session stands for the Workflow's state; `bootOptions` act through
//! `allowPXE`.

use std::borrow::Cow;

use jiff::Timestamp;
use resources::gantry::SessionPhase;
use resources::tinkerbell::{Ipxe, Netboot, Osie};

use crate::site::{SiteSettings, UnknownPolicy};
use crate::target::{BootTarget, MachineFacts};
use crate::view::Lookup;

/// What a machine is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The installer.
    Installer(Installer),
    /// Its own disk.
    LocalDisk {
        /// Recorded GUID of the EFI system partition, not checked.
        esp_guid: Option<String>,
        /// Recorded drive number of a PC BIOS.
        bios_drive: Option<u8>,
        /// Why, for people.
        reason: Cow<'static, str>,
    },
    /// The script text of the Hardware.
    CustomScript(String),
    /// The script URL of the Hardware.
    Chain(String),
    /// This NIC must not boot from the network.
    NotAllowed {
        /// Why, for people.
        reason: Cow<'static, str>,
    },
    /// No answer.
    Silent {
        /// Why, for people.
        reason: Cow<'static, str>,
    },
}

/// How the installer is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installer {
    /// Session that the agent claims; without it the agent asks for one and waits.
    pub boot_id: Option<String>,
    /// Attempt and boot, for the log.
    pub attempt: Option<(u64, u32)>,
    /// Where kernel and initramfs come from.
    pub source: InstallerSource,
    /// GUID of the EFI system partition that is booted when the installer cannot be fetched.
    pub esp_guid: Option<String>,
    /// Drive of a PC BIOS that is booted when the installer cannot be fetched.
    pub bios_drive: Option<u8>,
}

/// Where kernel and initramfs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallerSource {
    /// The appliance's own.
    BuiltIn,
    /// The Hardware's `netboot.osie`.
    Osie(Osie),
}

impl Decision {
    /// Whether the machine is to load a boot program at all.
    #[must_use]
    pub const fn boots(&self) -> bool {
        !matches!(self, Self::NotAllowed { .. } | Self::Silent { .. })
    }

    /// Short text for events.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Installer(Installer {
                attempt: Some((attempt, boot)),
                ..
            }) => {
                format!("installer, attempt {attempt}, boot {boot}")
            }
            Self::Installer(_) => "installer without a boot session".to_owned(),
            Self::LocalDisk { reason, .. } => format!("own disk: {reason}"),
            Self::CustomScript(_) => "own script of the Hardware".to_owned(),
            Self::Chain(url) => format!("chain to {url}"),
            Self::NotAllowed { reason } => format!("netboot not allowed: {reason}"),
            Self::Silent { reason } => format!("no answer: {reason}"),
        }
    }
}

/// Who asks for a machine's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The machine itself, by its address.
    Machine,
    /// Somebody else; MAC addresses are no secret.
    Other,
}

/// Decides for one machine.
#[must_use]
pub fn decide(subject: Lookup<'_>, asker: Asker, site: &SiteSettings, now: Timestamp) -> Decision {
    match subject {
        Lookup::NotLoaded => Decision::Silent {
            reason: "the appliance is still reading its objects".into(),
        },
        Lookup::Ambiguous(names) => Decision::Silent {
            reason: format!("several Hardware objects have this address: {}", names.join(", ")).into(),
        },
        Lookup::Unknown => match site.unknown {
            UnknownPolicy::Silent => Decision::Silent {
                reason: "no Hardware names this address".into(),
            },
            UnknownPolicy::Installer => Decision::Installer(Installer {
                boot_id: None,
                attempt: None,
                source: InstallerSource::BuiltIn,
                esp_guid: None,
                bios_drive: None,
            }),
        },
        Lookup::Known(target) => of_machine(target, asker, site, now),
    }
}

fn of_machine(target: &BootTarget, asker: Asker, site: &SiteSettings, now: Timestamp) -> Decision {
    let Some(netboot) = target
        .interface()
        .and_then(|interface| interface.netboot.as_ref())
    else {
        return Decision::NotAllowed {
            reason: "the interface has no netboot block".into(),
        };
    };
    let machine = &target.machine;
    let known = machine.local_boot.as_ref().filter(|_| asker == Asker::Machine);
    let esp_guid = known.and_then(|local| local.esp_guid.clone());
    // No secret, and without it another disk might be booted.
    let bios_drive = machine.local_boot.as_ref().and_then(|local| local.bios_drive);
    if netboot.allow_pxe != Some(true) {
        let reason = "netboot.allowPXE is not true".into();
        return match &machine.local_boot {
            Some(_) => Decision::LocalDisk {
                esp_guid,
                bios_drive,
                reason,
            },
            None => Decision::NotAllowed { reason },
        };
    }
    let session = match asker {
        Asker::Machine => open_session(machine, now),
        Asker::Other => Err("asked for from an address that is not this machine's"),
    };
    match session {
        Ok((boot_id, attempt)) => own_script(netboot).unwrap_or_else(|| {
            let boot_id = Some(boot_id.to_owned());
            Decision::Installer(Installer {
                boot_id,
                attempt: Some(attempt),
                source: source(netboot),
                esp_guid,
                bios_drive,
            })
        }),
        Err(reason) => {
            let untouched = machine.session.is_none() && machine.local_boot.is_none();
            match own_script(netboot) {
                Some(script) if untouched => script,
                None if site.idle_installer && !machine.leaving => Decision::Installer(Installer {
                    boot_id: None,
                    attempt: None,
                    source: source(netboot),
                    esp_guid,
                    bios_drive,
                }),
                _ => Decision::LocalDisk {
                    esp_guid,
                    bios_drive,
                    reason: reason.into(),
                },
            }
        }
    }
}

/// Boot id, attempt and boot of the open session, or why there is none.
fn open_session(machine: &MachineFacts, now: Timestamp) -> Result<(&str, (u64, u32)), &'static str> {
    let Some(session) = &machine.session else {
        return Err("no workflow has armed this machine");
    };
    if machine.attempt != Some(session.attempt) {
        return Err("the boot session is not of the newest attempt");
    }
    if machine.leaving {
        return Err("the attempt is over or at its handover");
    }
    match session.phase {
        SessionPhase::Arming | SessionPhase::Armed if now > session.deadline => {
            Err("the armed window has passed")
        }
        SessionPhase::Arming | SessionPhase::Armed | SessionPhase::Claimed => {
            Ok((&session.boot_id, (session.attempt, session.boot)))
        }
        SessionPhase::Frozen => Err("the boot session is frozen: two agents claimed it"),
        SessionPhase::Disarmed => Err("the machine is disarmed: it boots what was installed"),
        SessionPhase::Closed => Err("the attempt is closed"),
    }
}

/// Whether an open session of this NIC boots the appliance's own kernel and initramfs, and not a script or an installer
/// of the Hardware.
#[must_use]
pub fn boots_our_installer(target: &BootTarget) -> bool {
    let interface = target.interface();
    let netboot = interface.and_then(|interface| interface.netboot.as_ref());
    netboot.is_some_and(|netboot| {
        netboot.allow_pxe == Some(true)
            && own_script(netboot).is_none()
            && source(netboot) == InstallerSource::BuiltIn
    })
}

fn own_script(netboot: &Netboot) -> Option<Decision> {
    let Ipxe { url, contents, .. } = netboot.ipxe.as_ref()?;
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    filled(url)
        .map(Decision::Chain)
        .or_else(|| filled(contents).map(Decision::CustomScript))
}

fn source(netboot: &Netboot) -> InstallerSource {
    match &netboot.osie {
        Some(osie) if *osie != Osie::default() => InstallerSource::Osie(osie.clone()),
        _ => InstallerSource::BuiltIn,
    }
}
