//! Discovered. Entry: derived from a Hardware. Exit: available, once a NIC can boot. Rest: until the Hardware names one.

use resources::gantry::ServerState;

use super::{Effect, Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    let Some(hardware) = snapshot.hardware else {
        return Step::Do(Effect::Delete);
    };
    let mut macs = hardware
        .spec
        .interfaces
        .iter()
        .filter_map(|interface| interface.dhcp.as_ref()?.mac);
    if macs.next().is_none() {
        return Step::done("Hardware spec.interfaces has no dhcp.mac; add the address of the NIC that boots");
    }
    Step::go(ServerState::Available, "free")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;

    #[test]
    fn a_nic_makes_it_available() {
        let sample = Sample::new(ServerState::Discovered);
        assert_eq!(sample.step(at(0)), Step::go(ServerState::Available, "free"));
    }

    #[test]
    fn without_a_nic_it_says_so_and_without_hardware_it_goes() {
        let mut sample = Sample::new(ServerState::Discovered);
        sample.hardware.as_mut().unwrap().spec.interfaces.clear();
        assert!(
            matches!(sample.step(at(0)), Step::Done { reason: Some(reason) } if reason.contains("dhcp.mac"))
        );
        sample.hardware = None;
        assert_eq!(sample.step(at(0)), Step::Do(Effect::Delete));
    }
}
