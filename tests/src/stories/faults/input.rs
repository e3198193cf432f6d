//! Files of the user: a CSV with five faults, a cluster YAML with two.

use anyhow::{Context, ensure};

use crate::objects::{NAMESPACE, kubectl};
use crate::rack::Rack;
use crate::said::says;

/// Exit code of commands whose input has faults.
const BAD_INPUT: i32 = 4;

/// Five rows with one fault each below the rack's good one, all told at once; nothing is imported.
pub(super) fn csv(rack: &Rack) -> anyhow::Result<()> {
    let machine = rack.plan.machines.first().context("no machine")?;
    let twice = machine.boot_mac.to_string().to_uppercase().replace(':', "-");
    let row = |number: u8, changes: &[(usize, &str)]| {
        let mut cells = [
            format!("extra-{number}"),
            format!("192.0.2.{number}"),
            "255.255.255.0".to_owned(),
            "192.0.2.1".to_owned(),
            "192.0.2.2".to_owned(),
            format!("02:00:00:00:00:{number:02x}"),
            "/dev/sda".to_owned(),
            "type=worker".to_owned(),
            format!("198.51.100.{number}"),
            "operator".to_owned(),
            "a-canary-password".to_owned(),
            String::new(),
        ];
        for (column, value) in changes {
            if let Some(cell) = cells.get_mut(column - 1) {
                (*value).clone_into(cell);
            }
        }
        cells.join(",") + "\n"
    };
    let text = [
        rack.plan.hardware_csv(),
        row(3, &[(2, "10.0.0.300")]),
        row(4, &[(3, "255.0.255.0")]),
        row(5, &[(6, &twice)]),
        row(6, &[(7, "sdb")]),
        row(7, &[(11, "")]),
    ];
    std::fs::write(rack.file("faulty.csv"), text.concat())?;
    let duplicate = format!("row 5, column 6 (mac), value \"{}\": row 2", machine.boot_mac);
    let parts = [
        "faulty.csv: 5 faults",
        "row 3, column 2 (ip_address), value \"10.0.0.300\": is not an IP address; write ",
        "row 4, column 3 (netmask), value \"255.0.255.0\": is not a netmask: its ones are not contiguous; write ",
        &duplicate,
        "row 6, column 7 (disk), value \"sdb\": is not the path of a disk; write ",
        "row 7, column 11 (bmc_password): is empty, but other columns of the BMC are filled; fill ",
    ];
    for command in [
        &["apply", "hardware", "-z", "faulty.csv"][..],
        &["create", "cluster", "-f", "cluster.yaml", "-z", "faulty.csv"],
    ] {
        let (code, said) = rack.refused(command)?;
        ensure!(code == BAD_INPUT, "exit code {code}, not {BAD_INPUT}");
        says(&said, &parts)?;
        let password = machine.bmc_password.reveal();
        ensure!(
            !said.contains(password) && !said.contains("a-canary-password"),
            "a password is shown"
        );
    }
    nothing_applied(rack)?;
    println!("CSV with five faults: all told, nothing imported");
    Ok(())
}

/// An unknown field and a wrong CIDR, told at once; the good CSV given with it is not imported either.
pub(super) fn yaml(rack: &Rack) -> anyhow::Result<()> {
    let version = "  kubernetesVersion: \"1.35\"\n";
    let good = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    let text = good
        .replacen(version, &format!("{version}  kuberntesVersion: \"1.34\"\n"), 1)
        .replacen(&rack.plan.pod_cidr, "10.300.0.0/16", 1);
    ensure!(text.len() > good.len(), "the version's line is another one");
    std::fs::write(rack.file("faulty.yaml"), &text)?;
    let place = |part: &str| {
        let mut lines = text.lines().enumerate();
        let found = lines.find_map(|(at, line)| Some((at + 1, line.find(part)? + 1)));
        found.map(|(line, column)| format!("faulty.yaml:{line}:{column}: "))
    };
    let name = &rack.plan.cluster_name;
    let unknown = place("kuberntesVersion").context("no unknown field")?
        + &format!("Cluster {name}: spec.kuberntesVersion: unknown field \"kuberntesVersion\"");
    let range = place("10.300.0.0/16").context("no CIDR")?
        + &format!("Cluster {name}: spec.clusterNetwork.pods.cidrBlocks[0]: \"10.300.0.0/16\" is not a CIDR");
    let command = ["create", "cluster", "-f", "faulty.yaml", "-z", "hardware.csv"];
    let (code, said) = rack.refused(&command)?;
    ensure!(code == BAD_INPUT, "exit code {code}, not {BAD_INPUT}");
    says(
        &said,
        &[
            "faulty.yaml: 2 errors",
            &unknown,
            "= did you mean kubernetesVersion?",
            &range,
            "= write an address, '/' and a prefix length",
        ],
    )?;
    nothing_applied(rack)?;
    println!("YAML with two faults: both told, nothing applied");
    Ok(())
}

/// Nothing of a file came to the API.
fn nothing_applied(rack: &Rack) -> anyhow::Result<()> {
    let kinds = "hardware,machines.bmc.tinkerbell.org,secrets,clusters.anywhere.eks.amazonaws.com,\
                 tinkerbelldatacenterconfigs,tinkerbellmachineconfigs,servers,images,workflows";
    let found = kubectl(rack, &["get", kinds, "-n", NAMESPACE, "-o", "name"])?;
    ensure!(found.is_empty(), "half-applied: {found}");
    Ok(())
}
