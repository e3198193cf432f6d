//! The scripts that renew the certificates of a member of a control plane, as programs: with the programs that they call played, and
//! with the real kubeadm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod in_installer;
mod machine;
mod on_node;

use std::process::Command;

use crate::machine::{ENDED, Machine, SCRIPT, words};

#[test]
fn the_scripts_are_good_shell() {
    for script in [SCRIPT, ENDED] {
        let machine = Machine::with(script);
        let output = Command::new("sh")
            .arg("-n")
            .arg(machine.path("renew.sh"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }
}
