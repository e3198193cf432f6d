//! What the boot services heard last of armed machines, and of addresses that no Hardware names. In memory only: the
//! owner of the Server takes it from here into the boot session, so a lost piece is replaced by the next packet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use resources::gantry::SessionPhase;
use resources::{BootEvent, BootEventKind, Mac};

use crate::script::{INITRAMFS_FILE, KERNEL_FILE};
use crate::target::BootTarget;

/// Strangers that are remembered, the newest.
const STRANGERS: usize = 64;

/// The last packets.
#[derive(Debug)]
pub struct Sightings {
    since: Timestamp,
    known: Mutex<Known>,
}

impl Default for Sightings {
    fn default() -> Self {
        Self {
            since: Timestamp::now(),
            known: Mutex::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    /// By namespace and name. Holds armed machines only, so it is no larger than the view.
    machines: HashMap<(String, String), Heard>,
    /// Oldest first, each once.
    strangers: VecDeque<(Timestamp, Mac)>,
}

/// What was heard of one machine while it is armed.
#[derive(Debug, Default)]
struct Heard {
    last: Option<(Timestamp, String)>,
    kernel: Option<Timestamp>,
    initramfs: Option<Timestamp>,
}

impl Sightings {
    /// Takes in what a boot service tells.
    pub(crate) fn note(&self, target: Option<&BootTarget>, at: Timestamp, event: &BootEvent) {
        use BootEventKind::{Dhcp, Http, Lease, Metadata, Power, Refusal, Session, Tftp};
        let protocol = match event.kind {
            Dhcp | Lease => "DHCP",
            Tftp => "TFTP",
            Http => "HTTP",
            // These do not come from the firmware's way to the installer.
            Session | Metadata | Power | Refusal => return,
        };
        let mut known = self.lock();
        match (target, event.mac) {
            (Some(target), _) => {
                if let Some(heard) = known.armed(target) {
                    heard.last = Some((at, format!("{protocol}: {}", event.text)));
                }
            }
            (None, Some(mac)) => {
                known.strangers.retain(|(_, other)| *other != mac);
                known.strangers.push_back((at, mac));
                if known.strangers.len() > STRANGERS {
                    known.strangers.pop_front();
                }
            }
            (None, None) => {}
        }
    }

    /// When an armed machine was last heard, and with what.
    #[must_use]
    pub fn last(&self, namespace: &str, name: &str) -> Option<(Timestamp, String)> {
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().machines.get(&key)?.last.clone()
    }

    /// An armed machine has asked for a file of `/boot/`.
    pub fn fetched(&self, target: &BootTarget, file: &str, at: Timestamp) {
        let mut known = self.lock();
        let Some(heard) = known.armed(target) else { return };
        match file {
            KERNEL_FILE => heard.kernel = Some(at),
            INITRAMFS_FILE => heard.initramfs = Some(at),
            _ => {}
        }
    }

    /// Since when an armed machine has fetched both kernel and initramfs of the installer.
    #[must_use]
    pub fn installer_fetched(&self, namespace: &str, name: &str) -> Option<Timestamp> {
        let key = (namespace.to_owned(), name.to_owned());
        let known = self.lock();
        let heard = known.machines.get(&key)?;
        heard
            .kernel
            .max(heard.initramfs)
            .filter(|_| heard.kernel.is_some() && heard.initramfs.is_some())
    }

    /// From when on everything was heard: the start of this process.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// Addresses that no Hardware names and that asked since then; the newest first.
    #[must_use]
    pub fn strangers(&self, since: Timestamp) -> Vec<Mac> {
        let known = self.lock();
        let fresh = known.strangers.iter().rev().take_while(|(at, _)| *at >= since);
        fresh.map(|(_, mac)| *mac).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The entry of a machine while it is armed; otherwise it goes.
    fn armed(&mut self, target: &BootTarget) -> Option<&mut Heard> {
        let machine = &target.machine;
        let key = (machine.namespace.clone(), machine.name.clone());
        let phase = machine.session.as_ref().map(|session| session.phase);
        if matches!(phase, Some(SessionPhase::Arming | SessionPhase::Armed)) {
            Some(self.machines.entry(key).or_default())
        } else {
            self.machines.remove(&key);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::target::{MachineFacts, Session};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(kind: BootEventKind, mac: u8) -> BootEvent {
        BootEvent {
            kind,
            mac: Some(Mac::new([2, 0, 0, 0, 0, mac])),
            peer: None,
            text: "DISCOVER".into(),
        }
    }

    fn machine(phase: SessionPhase) -> BootTarget {
        let session = Session {
            attempt: 1,
            boot: 1,
            boot_id: "boot-a".into(),
            superseded: Vec::new(),
            phase,
            deadline: at(2700),
        };
        let machine = MachineFacts {
            namespace: "n".into(),
            name: "node-1".into(),
            machine_id: None,
            hardware: Arc::default(),
            session: Some(session),
            attempt: Some(1),
            leaving: false,
            local_boot: None,
        };
        BootTarget {
            mac: Mac::new([2, 0, 0, 0, 0, 1]),
            index: 0,
            machine: Arc::new(machine),
        }
    }

    #[test]
    fn the_last_packet_of_an_armed_machine_counts() {
        let sightings = Sightings::default();
        let armed = machine(SessionPhase::Armed);
        sightings.note(Some(&armed), at(5), &event(BootEventKind::Session, 1));
        assert_eq!(sightings.last("n", "node-1"), None, "nothing of the firmware");
        sightings.note(Some(&armed), at(6), &event(BootEventKind::Dhcp, 1));
        let (seen, text) = sightings.last("n", "node-1").unwrap();
        assert_eq!((seen, text.as_str()), (at(6), "DHCP: DISCOVER"));
        let over = machine(SessionPhase::Disarmed);
        sightings.note(Some(&over), at(7), &event(BootEventKind::Dhcp, 1));
        assert_eq!(sightings.last("n", "node-1"), None, "no longer of use");
    }

    #[test]
    fn the_installer_is_fetched_when_both_files_are() {
        let sightings = Sightings::default();
        let fetched = || sightings.installer_fetched("n", "node-1");
        let armed = machine(SessionPhase::Armed);
        for (file, second) in [("initramfs", 5), ("site-ca.cpio", 6), ("snponly.efi", 7)] {
            sightings.fetched(&armed, file, at(second));
            assert_eq!(fetched(), None, "{file}");
        }
        sightings.fetched(&armed, "vmlinuz", at(8));
        assert_eq!(fetched(), Some(at(8)));
        sightings.fetched(&machine(SessionPhase::Claimed), "vmlinuz", at(9));
        assert_eq!(fetched(), None, "no longer of use");
    }

    #[test]
    fn strangers_are_bounded_and_told_newest_first() {
        let sightings = Sightings::default();
        for mac in 0..100 {
            sightings.note(None, at(i64::from(mac)), &event(BootEventKind::Dhcp, mac));
        }
        sightings.note(None, at(100), &event(BootEventKind::Dhcp, 98));
        let last: Vec<u8> = sightings
            .strangers(at(98))
            .iter()
            .map(|mac| mac.octets()[5])
            .collect();
        assert_eq!(last, [98, 99]);
        assert_eq!(sightings.strangers(at(0)).len(), STRANGERS);
    }
}
