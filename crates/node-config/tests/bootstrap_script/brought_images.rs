//! The script on systems of images that users bring, which differ from Gantry's own.

use std::fs;

use crate::machine::Machine;

const TIME_SERVERS: &str = "etc/systemd/timesyncd.conf.d/50-gantry.conf";

/// systemctl of a system with chrony in the place of systemd-timesyncd; the unit's name is Red Hat's.
const WITHOUT_TIMESYNCD: &str = r#"#!/bin/sh
echo systemctl $* >> @ROOT@/calls
[ "$1" != cat ] || [ "$2" = chronyd.service ]
"#;
const CHRONYC: &str = "#!/bin/sh\necho chronyc $* >> @ROOT@/calls\n[ ! -e @ROOT@/fail-chronyc ]\n";

#[test]
fn chrony_sets_the_clock_where_there_is_no_timesyncd() {
    for (config, unit) in [
        ("etc/chrony/chrony.conf", "chrony"),
        ("etc/chrony.conf", "chronyd"),
    ] {
        let machine = Machine::new();
        machine.put(TIME_SERVERS);
        fs::write(
            machine.path(TIME_SERVERS),
            "[Time]\nNTP=192.0.2.1 ntp.example.com\n",
        )
        .unwrap();
        machine.put(config);
        let before = "pool 2.pool.example iburst\nserver a.example\ndriftfile /var/lib/chrony/drift\n";
        fs::write(machine.path(config), before).unwrap();
        let systemctl = WITHOUT_TIMESYNCD.replace("chronyd.service", &format!("{unit}.service"));
        machine.play("systemctl", &systemctl);
        machine.play("chronyd", "#!/bin/sh\n");
        machine.play("chronyc", CHRONYC);
        machine.put("fail-kubeadm");
        assert_eq!(machine.run("join").0, 1);
        let once = fs::read_to_string(machine.path(config)).unwrap();
        assert_eq!(
            once,
            "# pool 2.pool.example iburst\n# server a.example\ndriftfile /var/lib/chrony/drift\n\
             # gantry: begin\nserver 192.0.2.1 iburst\nserver ntp.example.com iburst\n# gantry: end\n"
        );
        // No server answers, and the boot goes on all the same.
        machine.put("fail-chronyc");
        fs::remove_file(machine.path("fail-kubeadm")).unwrap();
        let output = machine.output("join");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("none of the time servers (192.0.2.1 ntp.example.com) has answered"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(machine.path(config)).unwrap(), once);
        let calls = fs::read_to_string(machine.path("calls")).unwrap();
        let at = |text: &str| calls.lines().position(|line| line.starts_with(text)).unwrap();
        assert!(at(&format!("systemctl restart {unit}.service")) < at("chronyc waitsync"));
        assert!(at("chronyc waitsync") < at("kubeadm join"), "{calls}");
    }
}

#[test]
fn red_hat_trusts_certificates_by_its_own_tool() {
    let machine = Machine::new();
    fs::remove_file(machine.path("bin/update-ca-certificates")).unwrap();
    machine.play(
        "update-ca-trust",
        "#!/bin/sh\necho update-ca-trust $* >> @ROOT@/calls\n",
    );
    machine.put("usr/local/share/ca-certificates/gantry-site.crt");
    fs::create_dir_all(machine.path("etc/pki/ca-trust/source/anchors")).unwrap();
    let (status, ..) = machine.run_only_with_own_programs("join");
    assert_eq!(status, 0);
    assert!(
        machine
            .path("etc/pki/ca-trust/source/anchors/gantry-site.crt")
            .exists()
    );
    let calls = fs::read_to_string(machine.path("calls")).unwrap();
    let at = |text: &str| calls.lines().position(|line| line.starts_with(text)).unwrap();
    assert!(
        at("update-ca-trust extract") < at("systemctl restart containerd"),
        "{calls}"
    );
}

#[test]
fn an_image_without_kubernetes_says_so_and_is_not_tried_again() {
    for tool in ["containerd", "kubelet", "kubeadm", "kubectl"] {
        let machine = Machine::new();
        fs::remove_file(machine.path(&format!("bin/{tool}"))).unwrap();
        let (status, stages, calls) = machine.run_only_with_own_programs("join");
        assert_eq!((status, calls.len()), (100, 0), "{tool}");
        assert_eq!(stages, ["network", "containerd"]);
    }
}

#[test]
fn the_kubelet_comes_back_after_a_restart() {
    let machine = Machine::new();
    assert_eq!(machine.run("join").0, 0);
    let calls = fs::read_to_string(machine.path("calls")).unwrap();
    let at = |text: &str| calls.lines().position(|line| line.starts_with(text)).unwrap();
    assert!(
        at("systemctl enable kubelet.service") < at("kubeadm join"),
        "{calls}"
    );
}
