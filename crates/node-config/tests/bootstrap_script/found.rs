//! A machine that was made with its data finds its own address.

use std::fs;

use crate::machine::{Machine, STAGE};

/// Holds the control-plane address, too, which is not its own.
const IP: &str = r#"#!/bin/sh
case "$*" in
"-4 route show default")
    echo 'default via 198.51.100.1 dev eth7 proto dhcp src 198.51.100.7 metric 100'
    echo 'default via 203.0.113.1 dev eth8 proto dhcp src 203.0.113.7 metric 200'
    ;;
"-4 -o route get 198.51.100.1") echo '198.51.100.1 dev eth7 src 198.51.100.7 uid 0 \    cache ' ;;
*) exit 1 ;;
esac
"#;

#[test]
fn its_address_is_that_of_its_way_to_the_network() {
    let machine = Machine::new();
    machine.play("ip", IP);
    let kubeadm = machine.path(&format!("{STAGE}/kubeadm.yaml"));
    fs::write(&kubeadm, "advertiseAddress: @ADDRESS@\nvalue: '@ADDRESS@'\n").unwrap();
    let keepalived = machine.path(&format!("{STAGE}/keepalived.conf.in"));
    fs::write(keepalived, "interface @INTERFACE@\n").unwrap();
    machine.put("fail-kubeadm");
    assert_eq!(machine.run("init-found").0, 1);
    let told = fs::read_to_string(&kubeadm).unwrap();
    assert_eq!(told, "advertiseAddress: 198.51.100.7\nvalue: '198.51.100.7'\n");
    let placed = fs::read_to_string(machine.path("etc/keepalived/keepalived.conf")).unwrap();
    assert_eq!(placed, "interface eth7\n");
    fs::remove_file(machine.path("fail-kubeadm")).unwrap();
    let (status, stages, calls) = machine.run("init-found");
    assert_eq!((status, calls), (0, vec!["init".to_owned()]));
    assert_eq!(stages, ["network", "containerd", "kubeadm-init"]);
}

#[test]
fn a_machine_without_a_way_to_the_network_waits_for_it() {
    let machine = Machine::new();
    machine.play("ip", "#!/bin/sh\n");
    machine.play("sleep", "#!/bin/sh\n");
    let output = machine.output("join-found");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no default route after 60 s"), "{said}");
}
