//! Whether a machine that claims a session is the one behind the BMC: what its agent says against what the BMC says.
//!
//! A peer on the network can invent what the agent says; it cannot change what the BMC says. Vendors differ in spelling
//! ([`SystemUuid`]), and boards without an identity of their own carry placeholders, which prove nothing.

use resources::bmc::BmcInventory;
use resources::gantry::{Inventory, MachineRole, ServerSpec};
use resources::{Mac, SystemUuid};

/// What a BMC's word says about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It is this machine, by the fields named.
    Matches(String),
    /// It is another machine; the text says in what.
    Contradicts(String),
    /// The BMC does not decide it; why.
    Unknown(String),
}

/// Whether a control-plane machine that has a BMC is installed only if the BMC confirms which machine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ControlPlaneProof {
    /// It has to: the keys of a cluster go to the machine that is asked for, and to no other.
    #[default]
    Bmc,
    /// What the machine says on the network is enough, unless the BMC contradicts it.
    None,
}

/// What follows for a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Go on; by what the BMC confirmed it, if it did.
    Admit(Option<String>),
    /// Refuse, because the BMC says that it is another machine.
    Mismatch(String),
    /// Refuse for now, because proof is needed and the BMC gives none.
    Unproven(String),
}

/// Whether this server is handed out only to the machine that its BMC confirms.
pub(crate) fn is_required(server: &ServerSpec, policy: ControlPlaneProof) -> bool {
    policy == ControlPlaneProof::Bmc && server.bmc.is_some() && is_control_plane(server)
}

/// Whether the server is claimed for a control plane.
pub(crate) fn is_control_plane(server: &ServerSpec) -> bool {
    let role = server.claim.as_ref().and_then(|claim| claim.role);
    role == Some(MachineRole::ControlPlane)
}

/// Decides by what the BMC says; a contradiction counts whether or not proof is needed.
pub(crate) fn admission(proof: Proof, required: bool) -> Admission {
    match proof {
        Proof::Matches(by) => Admission::Admit(Some(by)),
        Proof::Contradicts(why) => {
            Admission::Mismatch(format!("this is not the machine behind its BMC: {why}"))
        }
        Proof::Unknown(why) if required => Admission::Unproven(format!(
            "a control-plane machine with a BMC must be confirmed by it, and {why}; if this BMC cannot, start the \
             appliance with controlPlaneProof: none"
        )),
        Proof::Unknown(_) => Admission::Admit(None),
    }
}

/// Compares an agent's inventory with that of the BMC; `None` where the BMC has never answered.
pub(crate) fn proof(agent: &Inventory, bmc: Option<&BmcInventory>) -> Proof {
    let Some(bmc) = bmc else {
        return Proof::Unknown("its BMC has not said yet which machine it is".to_owned());
    };
    if let Some(problem) = &bmc.problem {
        return Proof::Unknown(format!("its BMC does not say which machine it is ({problem})"));
    }
    let macs: Vec<Mac> = agent.nics.iter().map(|nic| nic.mac).collect();
    if !bmc.macs.is_empty() && !bmc.macs.iter().any(|mac| macs.contains(mac)) {
        return Proof::Contradicts(format!(
            "none of its network interfaces ({}) is among those that the BMC lists ({})",
            list(&macs),
            list(&bmc.macs)
        ));
    }
    let uuid = |text: &str| text.parse::<SystemUuid>().ok();
    let uuid = compared(agent.uuid.as_deref(), bmc.uuid.as_deref(), uuid);
    let serial = compared(agent.serial.as_deref(), bmc.serial.as_deref(), serial);
    let differs = |field: &str, agent: Option<&str>, bmc: Option<&str>| {
        format!(
            "its {field} is {}, by the BMC {}",
            agent.unwrap_or_default(),
            bmc.unwrap_or_default()
        )
    };
    match (uuid, serial) {
        (Some(true), Some(true)) => Proof::Matches("UUID and serial number".to_owned()),
        // One of the two may be that of a board or chassis that was replaced; the other is still its own.
        (Some(true), _) => Proof::Matches("UUID".to_owned()),
        (_, Some(true)) => Proof::Matches("serial number".to_owned()),
        (Some(false), _) => Proof::Contradicts(differs("UUID", agent.uuid.as_deref(), bmc.uuid.as_deref())),
        (_, Some(false)) => Proof::Contradicts(differs(
            "serial number",
            agent.serial.as_deref(),
            bmc.serial.as_deref(),
        )),
        (None, None) => {
            Proof::Unknown("neither UUID nor serial number is known both to its BMC and to itself".to_owned())
        }
    }
}

/// Whether both are known and the same.
fn compared<T: PartialEq>(
    agent: Option<&str>,
    bmc: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<bool> {
    Some(read(agent?)? == read(bmc?)?)
}

/// A serial number that identifies a machine, for comparison.
fn serial(text: &str) -> Option<String> {
    const PLACEHOLDERS: [&str; 16] = [
        "0",
        "default string",
        "empty",
        "n/a",
        "na",
        "none",
        "not applicable",
        "not available",
        "not specified",
        "null",
        "oem",
        "serial number",
        "system serial number",
        "to be filled by o.e.m.",
        "unknown",
        "123456789",
    ];
    let text = text.trim().to_ascii_lowercase();
    let mut rest = text.chars();
    let repeated = rest.next().is_none_or(|first| rest.all(|c| c == first));
    let counted = "0123456789".starts_with(&text) || "1234567890".starts_with(&text);
    (!repeated && !counted && !PLACEHOLDERS.contains(&text.as_str())).then_some(text)
}

fn list(macs: &[Mac]) -> String {
    let macs: Vec<String> = macs.iter().map(ToString::to_string).collect();
    macs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use resources::gantry::InventoryNic;

    const UUID: &str = "22988ada-3f61-4c68-932c-a630b89284e0";
    /// The same bytes as SMBIOS stores them.
    const STORED: &str = "DA8A9822-613F-684C-932C-A630B89284E0";

    fn agent(uuid: &str, serial: &str, macs: &[&str]) -> Inventory {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let nic = |mac: &&str| InventoryNic {
            name: "eth0".into(),
            mac: mac.parse().unwrap(),
            link: None,
            driver: None,
        };
        Inventory {
            uuid: known(uuid),
            serial: known(serial),
            nics: macs.iter().map(nic).collect(),
            ..Inventory::default()
        }
    }

    fn bmc(uuid: &str, serial: &str, macs: &[&str]) -> BmcInventory {
        let agent = agent(uuid, serial, macs);
        BmcInventory {
            host: "192.0.2.21".into(),
            uuid: agent.uuid,
            serial: agent.serial,
            macs: agent.nics.iter().map(|nic| nic.mac).collect(),
            problem: None,
            at: resources::Time(jiff::Timestamp::UNIX_EPOCH),
        }
    }

    const A: &str = "52:54:00:00:00:01";
    const B: &str = "52:54:00:00:00:02";

    #[test]
    fn what_matches() {
        let matches = |text: &str| Proof::Matches(text.to_owned());
        for (agent, bmc, by) in [
            (
                agent(UUID, "GL1", &[A]),
                bmc(UUID, "GL1", &[A]),
                "UUID and serial number",
            ),
            (agent(UUID, "", &[]), bmc(STORED, "", &[]), "UUID"),
            (agent(UUID, "", &[A, B]), bmc(UUID, "", &[B]), "UUID"),
            (agent("", "gl1 ", &[]), bmc("", "GL1", &[]), "serial number"),
            // A replaced board has a new serial number or UUID, and keeps the other.
            (agent(UUID, "new", &[A]), bmc(UUID, "GL1", &[A]), "UUID"),
            (
                agent(UUID, "GL1", &[]),
                bmc("22988ada-3f61-4c68-932c-000000000000", "GL1", &[]),
                "serial number",
            ),
        ] {
            assert_eq!(proof(&agent, Some(&bmc)), matches(by), "{agent:?} {bmc:?}");
        }
    }

    #[test]
    fn what_contradicts() {
        for (agent, bmc, part) in [
            (
                agent("33988ada-3f61-4c68-932c-a630b89284e0", "", &[A]),
                bmc(UUID, "", &[A]),
                "UUID is 33988ada",
            ),
            (
                agent("", "GL2", &[A]),
                bmc("", "GL1", &[]),
                "serial number is GL2, by the BMC GL1",
            ),
            (
                agent(UUID, "GL1", &[B]),
                bmc(UUID, "GL1", &[A]),
                "none of its network interfaces (52:54:00:00:00:02)",
            ),
            (
                agent(UUID, "GL1", &[]),
                bmc(UUID, "GL1", &[A]),
                "none of its network interfaces",
            ),
            (
                agent("33988ada-3f61-4c68-932c-a630b89284e0", "GL2", &[]),
                bmc(UUID, "GL1", &[]),
                "UUID is",
            ),
        ] {
            match proof(&agent, Some(&bmc)) {
                Proof::Contradicts(why) => assert!(why.contains(part), "{why}"),
                other => panic!("{other:?}: {agent:?} {bmc:?}"),
            }
        }
    }

    #[test]
    fn proof_is_needed_for_control_planes_with_a_bmc_unless_the_site_says_no() {
        let server = |role: Option<MachineRole>, bmc: bool| ServerSpec {
            bmc: bmc.then(|| "bmc".to_owned()),
            claim: Some(resources::gantry::Claim {
                role,
                ..resources::gantry::Claim::default()
            }),
            ..ServerSpec::default()
        };
        let control_plane = Some(MachineRole::ControlPlane);
        for (role, bmc, policy, needed) in [
            (control_plane, true, ControlPlaneProof::Bmc, true),
            (control_plane, true, ControlPlaneProof::None, false),
            (control_plane, false, ControlPlaneProof::Bmc, false),
            (Some(MachineRole::Worker), true, ControlPlaneProof::Bmc, false),
            (None, true, ControlPlaneProof::Bmc, false),
        ] {
            assert_eq!(
                is_required(&server(role, bmc), policy),
                needed,
                "{role:?} {bmc} {policy:?}"
            );
        }
        let unknown = || Proof::Unknown("its BMC is silent".into());
        assert_eq!(admission(unknown(), false), Admission::Admit(None));
        assert!(
            matches!(admission(unknown(), true), Admission::Unproven(why) if why.contains("controlPlaneProof: none"))
        );
        for required in [false, true] {
            let other = Proof::Contradicts("its UUID is 1, by the BMC 2".into());
            assert!(matches!(admission(other, required), Admission::Mismatch(_)));
        }
    }

    #[test]
    fn placeholders_and_silence_prove_nothing() {
        let zeros = "00000000-0000-0000-0000-000000000000";
        let default = "03000200-0400-0500-0006-000700080009";
        let stored = "00020003-0004-0005-0006-000700080009";
        for uuid in [
            "",
            zeros,
            default,
            stored,
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "no uuid",
        ] {
            for serial in [
                "",
                "0",
                "To Be Filled By O.E.M.",
                "Default string",
                "0123456789",
                "........",
                " ",
            ] {
                let said = bmc(uuid, serial, &[A]);
                let proof = proof(&agent(uuid, serial, &[A]), Some(&said));
                assert!(matches!(proof, Proof::Unknown(_)), "{uuid} {serial}: {proof:?}");
            }
        }
        assert!(matches!(
            proof(&agent(UUID, "GL1", &[A]), None),
            Proof::Unknown(_)
        ));
        let mut failed = bmc(UUID, "GL1", &[A]);
        failed.problem = Some("no such resource".into());
        assert!(
            matches!(proof(&agent(UUID, "GL1", &[A]), Some(&failed)), Proof::Unknown(why) if why.contains("no such resource"))
        );
        // A placeholder on one side does not contradict a real one on the other.
        assert!(matches!(
            proof(&agent(zeros, "GL1", &[]), Some(&bmc(UUID, "GL1", &[]))),
            Proof::Matches(_)
        ));
    }
}
