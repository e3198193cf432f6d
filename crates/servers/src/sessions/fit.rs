//! Whether what a claimant shows of itself fits the machine that it claims to be.
//!
//! None of it is a secret, so a fit proves nothing alone; a misfit proves that something is wrong: a wrong cable, a
//! replaced mainboard, another machine at this address, or an attack.

use resources::Mac;
use resources::gantry::Inventory;
use resources::keys::ACCEPT_MAINBOARD;

/// What is known of the machine, and what the claimant shows.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// Name of the Server, for the next step.
    pub server: &'a str,
    /// MAC addresses that the Hardware names.
    pub macs: &'a [Mac],
    /// Inventory of an earlier claim of the machine.
    pub known: Option<&'a Inventory>,
    /// UUID or serial number of a replaced mainboard that an operator accepts.
    pub accepted: Option<&'a str>,
    /// MAC address of the NIC that the claimant booted from.
    pub boot_mac: Option<Mac>,
    /// Inventory of the claimant.
    pub shown: Option<&'a Inventory>,
}

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The claim has no inventory.
    #[error("the claim has no inventory; boot the installer of this appliance")]
    NoInventory,
    /// The boot NIC is not one of the Hardware.
    #[error("the boot NIC is {}, the Hardware names {known}; correct the MAC address in the Hardware if that is the \
             machine's NIC", shown.map_or_else(|| "missing from the claim".to_owned(), |mac| mac.to_string()))]
    BootNic {
        /// MAC address in the claim.
        shown: Option<Mac>,
        /// MAC addresses in the Hardware.
        known: String,
    },
    /// No NIC of the inventory is one of the Hardware.
    #[error(
        "the inventory has {shown}, the Hardware names {known}; correct the MAC address in the Hardware if that is \
             the machine's NIC"
    )]
    Nics {
        /// MAC addresses in the inventory.
        shown: String,
        /// MAC addresses in the Hardware.
        known: String,
    },
    /// UUID or serial number is another than in an earlier claim.
    #[error(
        "{field} is {shown}, an earlier inventory of this machine has {known}; if its mainboard was replaced, \
             accept the new one: kubectl annotate server {server} --overwrite {ACCEPT_MAINBOARD}={accept}"
    )]
    Mainboard {
        /// `UUID` or `serial number`.
        field: &'static str,
        /// What the claim has.
        shown: String,
        /// What is known.
        known: String,
        /// The Server.
        server: String,
        /// Value of the annotation that accepts it.
        accept: String,
    },
}

impl Misfit {
    /// What the claimant hears: only what it has shown, and the next step.
    #[must_use]
    pub fn answer(&self) -> String {
        match self {
            Self::NoInventory => self.to_string(),
            Self::BootNic { .. } => "the boot NIC is none of its Hardware".to_owned(),
            Self::Nics { .. } => "no NIC of the inventory is one of its Hardware".to_owned(),
            Self::Mainboard {
                field,
                shown,
                server,
                accept,
                ..
            } => format!(
                "{field} {shown} is not that of an earlier inventory; if its mainboard was replaced: \
                 kubectl annotate server {server} --overwrite {ACCEPT_MAINBOARD}={accept}"
            ),
        }
    }
}

impl Claimant<'_> {
    /// # Errors
    /// With the first thing that does not fit.
    pub fn fit(&self) -> Result<(), Misfit> {
        let shown = self.shown.ok_or(Misfit::NoInventory)?;
        if !self.boot_mac.is_some_and(|mac| self.macs.contains(&mac)) {
            return Err(Misfit::BootNic {
                shown: self.boot_mac,
                known: listed(self.macs.iter().copied()),
            });
        }
        let nics = || shown.nics.iter().map(|nic| nic.mac);
        if !nics().any(|mac| self.macs.contains(&mac)) {
            return Err(Misfit::Nics {
                shown: listed(nics()),
                known: listed(self.macs.iter().copied()),
            });
        }
        self.mainboard(shown)
    }

    fn mainboard(&self, shown: &Inventory) -> Result<(), Misfit> {
        let Some(known) = self.known else { return Ok(()) };
        // What names the new mainboard: a board without UUID has its serial number.
        let new = shown
            .uuid
            .as_deref()
            .or(shown.serial.as_deref())
            .unwrap_or("none");
        for (field, known, shown) in [
            ("UUID", &known.uuid, &shown.uuid),
            ("serial number", &known.serial, &shown.serial),
        ] {
            // What was never known is learned now.
            let Some(known) = known else { continue };
            let same = shown
                .as_ref()
                .is_some_and(|shown| shown.eq_ignore_ascii_case(known));
            let accepted = self
                .accepted
                .is_some_and(|accepted| accepted.eq_ignore_ascii_case(new));
            if !same && !accepted {
                return Err(Misfit::Mainboard {
                    field,
                    shown: shown.clone().unwrap_or_else(|| "missing".to_owned()),
                    known: known.clone(),
                    server: self.server.to_owned(),
                    accept: new.replace(|c: char| !c.is_ascii_graphic() || c == '\'', "_"),
                });
            }
        }
        Ok(())
    }
}

fn listed(macs: impl Iterator<Item = Mac>) -> String {
    let texts: Vec<String> = macs.map(|mac| mac.to_string()).collect();
    if texts.is_empty() {
        "no NIC".to_owned()
    } else {
        texts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use resources::gantry::InventoryNic;

    use super::*;

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn inventory(uuid: Option<&str>, serial: Option<&str>, nics: &[u8]) -> Inventory {
        let nic = |last: &u8| InventoryNic {
            name: format!("eth{last}"),
            mac: mac(*last),
            link: None,
            driver: None,
        };
        Inventory {
            uuid: uuid.map(str::to_owned),
            serial: serial.map(str::to_owned),
            nics: nics.iter().map(nic).collect(),
            ..Inventory::default()
        }
    }

    fn judged(
        known: Option<&Inventory>,
        accepted: Option<&str>,
        boot_mac: Option<Mac>,
        shown: Option<&Inventory>,
    ) -> Result<(), String> {
        let claimant = Claimant {
            server: "node-1",
            macs: &[mac(1), mac(2)],
            known,
            accepted,
            boot_mac,
            shown,
        };
        claimant.fit().map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn the_nics_are_those_of_the_hardware() {
        let of = |nics: &[u8]| inventory(Some("u"), None, nics);
        assert_eq!(judged(None, None, Some(mac(2)), Some(&of(&[7, 1]))), Ok(()));
        for (boot_mac, shown, part) in [
            (Some(mac(1)), None, "no inventory"),
            (None, Some(of(&[1])), "missing from the claim"),
            (Some(mac(9)), Some(of(&[1])), "02:00:00:00:00:09"),
            (
                Some(mac(1)),
                Some(of(&[9])),
                "the inventory has 02:00:00:00:00:09",
            ),
            (Some(mac(1)), Some(of(&[])), "no NIC"),
        ] {
            let why = judged(None, None, boot_mac, shown.as_ref()).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn the_mainboard_is_the_one_that_is_known_or_accepted() {
        let known = inventory(Some("aa-1"), Some("S1"), &[1]);
        let unknown = inventory(None, None, &[1]);
        let bare = inventory(None, Some("S1"), &[1]);
        for (known, accepted, uuid, serial, fits) in [
            (&known, None, Some("aa-1"), Some("S1"), true),
            (&known, None, Some("AA-1"), Some("s1"), true),
            (&known, None, Some("bb-2"), Some("S1"), false),
            (&known, None, Some("aa-1"), Some("S2"), false),
            (&known, None, None, Some("S1"), false),
            (&known, None, Some("aa-1"), None, false),
            (&known, Some("bb-2"), Some("bb-2"), Some("S2"), true),
            (&known, Some("S2"), Some("bb-2"), Some("S2"), false),
            (&known, Some("bb-2"), Some("cc-3"), Some("S1"), false),
            (&known, Some(""), Some("bb-2"), Some("S1"), false),
            (&known, Some("none"), None, None, true),
            (&unknown, None, Some("bb-2"), Some("S2"), true),
            (&bare, None, Some("bb-2"), Some("S1"), true),
            (&bare, Some("S2"), None, Some("S2"), true),
        ] {
            let shown = inventory(uuid, serial, &[1]);
            let judged = judged(Some(known), accepted, Some(mac(1)), Some(&shown));
            assert_eq!(
                judged.is_ok(),
                fits,
                "{accepted:?} {uuid:?} {serial:?}: {judged:?}"
            );
        }
        let shown = inventory(Some("bb-2"), Some("S2"), &[1]);
        let why = judged(Some(&known), None, Some(mac(1)), Some(&shown)).unwrap_err();
        let next = "kubectl annotate server node-1 --overwrite gantry.dev/accept-mainboard=bb-2";
        assert!(why.contains(next) && why.contains("aa-1"), "{why}");
    }

    #[test]
    fn a_claimant_learns_nothing_that_it_has_not_shown() {
        let known = inventory(Some("aa-1"), Some("S1"), &[1]);
        let claimant = |boot_mac, shown: &Inventory| {
            let claimant = Claimant {
                server: "node-1",
                macs: &[mac(1)],
                known: Some(&known),
                accepted: None,
                boot_mac: Some(mac(boot_mac)),
                shown: Some(shown),
            };
            claimant.fit().unwrap_err().answer()
        };
        for answer in [
            claimant(1, &inventory(Some("bb-2"), Some("S2"), &[1])),
            claimant(1, &inventory(Some("aa-1"), Some("S2"), &[1])),
            claimant(1, &inventory(Some("bb-2"), Some("S2"), &[7])),
            claimant(7, &inventory(Some("bb-2"), Some("S2"), &[7])),
        ] {
            for secret in ["S1", "02:00:00:00:00:01"] {
                assert!(!answer.contains(secret), "{answer}");
            }
        }
    }
}
