//! CheckScope: what of a scope, and of specs in it, is right, and what a person can do about the rest. Asks only.

use std::path::Path;

use driver::Fault;
use driver::v1::{CheckItem, CheckResult, CheckScopeRequest, Reason, Spec};

use crate::daemon::{Daemon, Info};
use crate::machine::{Machine, only};
use crate::scope::{ImagePolicy, ScopeConfig};

/// Items as they are found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<CheckItem>);

impl Findings {
    pub(crate) fn into_items(self) -> Vec<CheckItem> {
        self.0
    }

    fn pass(&mut self, id: &str, message: String) {
        self.add(id, CheckResult::Pass, "", message, "");
    }

    fn fail(&mut self, id: &str, field: &str, message: String, remedy: &str) {
        self.add(id, CheckResult::Fail, field, message, remedy);
    }

    fn add(&mut self, id: &str, result: CheckResult, field: &str, message: String, remedy: &str) {
        self.0.push(CheckItem {
            id: id.to_owned(),
            result: result.into(),
            field: field.to_owned(),
            message,
            remedy: remedy.to_owned(),
        });
    }
}

/// A daemon that can't be asked.
pub(crate) fn unreachable(socket: &Path, fault: &Fault) -> Findings {
    let remedy = match fault.reason() {
        Reason::Permission => {
            "Run the driver as a user of the socket's group: `user: UID:GID` of its entry in the file of drivers, with \
             the group's number (`getent group docker`)."
        }
        Reason::Unreachable if socket.exists() => {
            "Start the daemon that listens there: systemctl start docker. Its log says why it does not answer."
        }
        Reason::Unreachable => {
            "Install Docker and start it (systemctl start docker), or give the socket that `docker context inspect` names."
        }
        Reason::InvalidSpec => "Install another version of Docker, or give the socket of another daemon.",
        _ => "Give the socket of a Docker daemon; what listens there is something else, or is about to stop.",
    };
    let mut findings = Findings::default();
    findings.fail("daemon", "/scope/config/host", fault.message.clone(), remedy);
    findings
}

/// Checks a daemon that answers.
pub(crate) async fn check(
    daemon: &Daemon,
    scope: &ScopeConfig,
    request: &CheckScopeRequest,
) -> Result<Findings, Fault> {
    let mut findings = Findings::default();
    let info = daemon.info().await.map_err(Fault::without_effect)?;
    findings.pass(
        "daemon",
        format!(
            "the Docker daemon answers, in version {} of its API",
            daemon.api()
        ),
    );
    cgroups(&info, &mut findings);
    network(daemon, "/scope/config/network", &scope.network, &mut findings).await?;
    for (index, spec) in request.specs.iter().enumerate() {
        let prefix = format!("/specs/{index}");
        size(&info, spec, &prefix, &mut findings);
        match Machine::read(spec, &prefix) {
            Ok(_) => image(daemon, scope, spec, &prefix, &mut findings).await?,
            Err(fault) => findings.fail(
                "spec",
                &fault.detail.field,
                fault.message.clone(),
                "Change the field: containers don't have what it asks for.",
            ),
        }
        if let Some(nic) = spec.nics.first().filter(|nic| !nic.network.is_empty()) {
            network(
                daemon,
                &format!("{prefix}/nics/0/network"),
                &nic.network,
                &mut findings,
            )
            .await?;
        }
    }
    memory(&info, request, &mut findings);
    Ok(findings)
}

fn cgroups(info: &Info, findings: &mut Findings) {
    if info.cgroup_version == "2" {
        return findings.pass("cgroups", "the daemon's host has cgroup v2".to_owned());
    }
    findings.add(
        "cgroups",
        CheckResult::Warn,
        "",
        "the daemon's host has cgroup v1, with which kubelet does not start since Kubernetes 1.35 unless it is told to".to_owned(),
        "Boot the host with cgroup v2: kernel argument systemd.unified_cgroup_hierarchy=1.",
    );
}

async fn network(daemon: &Daemon, field: &str, name: &str, findings: &mut Findings) -> Result<(), Fault> {
    match only(daemon.networks_named(name).await?, name) {
        Ok(_) => findings.pass("network", format!("network {name} exists")),
        Err((Reason::NetworkMissing, text)) => {
            let remedy =
                format!("Make it (docker network create {name}), or name one of `docker network ls`.");
            findings.fail("network", field, text, &remedy);
        }
        Err((_, text)) => findings.fail("network", field, text, "Name another one of `docker network ls`."),
    }
    Ok(())
}

async fn image(
    daemon: &Daemon,
    scope: &ScopeConfig,
    spec: &Spec,
    prefix: &str,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let (name, field) = (&spec.image_ref, format!("{prefix}/image_ref"));
    if daemon.image(name).await?.is_some() {
        findings.pass("image", format!("image {name} is there"));
    } else if scope.image_policy == ImagePolicy::Pull {
        let text = format!("image {name} is not there, and is pulled with the first machine");
        findings.add(
            "image",
            CheckResult::Warn,
            &field,
            text,
            "Pull it now, to see whether it exists.",
        );
    } else {
        let remedy = format!("Pull or import it (docker pull {name}), or set imagePolicy: pull.");
        findings.fail("image", &field, format!("image {name} is not there"), &remedy);
    }
    Ok(())
}

/// One machine against the daemon's host.
fn size(info: &Info, spec: &Spec, prefix: &str, findings: &mut Findings) {
    if spec.vcpus > info.cpus {
        let text = format!(
            "a machine has {} processors, and the daemon's host {}",
            spec.vcpus, info.cpus
        );
        findings.fail(
            "vcpus",
            &format!("{prefix}/vcpus"),
            text,
            "Ask for fewer, or for 0: no limit.",
        );
    }
    let available = info.mem_total >> 20;
    if spec.memory_mib > available {
        let text = format!(
            "a machine has {} MiB, and the daemon's host {available}",
            spec.memory_mib
        );
        findings.fail(
            "memory",
            &format!("{prefix}/memory_mib"),
            text,
            "Ask for less, or for 0: no limit.",
        );
    }
}

/// All machines against the daemon's host. What a container may use is not set aside for it.
fn memory(info: &Info, request: &CheckScopeRequest, findings: &mut Findings) {
    let counts = request.counts.iter().copied().chain(std::iter::repeat(1));
    let wanted = request.specs.iter().zip(counts);
    let wanted = wanted
        .map(|(spec, count)| spec.memory_mib.saturating_mul(count.into()))
        .fold(0, u64::saturating_add);
    let available = info.mem_total >> 20;
    if wanted > available {
        let text =
            format!("all machines together may use {wanted} MiB, and the daemon's host has {available}");
        let remedy = "Ask for less, or take care that not all of them use what they may.";
        findings.add("memory", CheckResult::Warn, "", text, remedy);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driver::Fault;
    use driver::v1::{CheckResult, CheckScopeRequest, Reason, Spec};

    use super::{Findings, cgroups, memory, size, unreachable};
    use crate::daemon::Info;

    fn info(cgroups: &str) -> Info {
        Info {
            cpus: 2,
            mem_total: 4 << 30,
            cgroup_version: cgroups.to_owned(),
        }
    }

    /// Results and fields.
    fn found(findings: Findings) -> Vec<(CheckResult, String)> {
        let items = findings.into_items().into_iter();
        items
            .map(|item| {
                let result = item.result();
                let has_remedy = !item.remedy.is_empty();
                assert_eq!(has_remedy, result != CheckResult::Pass, "{}", item.message);
                (result, item.field)
            })
            .collect()
    }

    #[test]
    fn every_way_of_not_reaching_a_daemon_has_its_remedy() {
        let mut remedies = Vec::new();
        for (socket, reason) in [
            ("/", Reason::Permission),
            ("/", Reason::Unreachable),
            ("/no/such.sock", Reason::Unreachable),
            ("/", Reason::InvalidSpec),
            ("/", Reason::TaskFailed),
        ] {
            let findings = unreachable(Path::new(socket), &Fault::new(reason, "why"));
            let item = findings.0.first().unwrap().clone();
            assert_eq!(
                (item.result(), item.field.as_str()),
                (CheckResult::Fail, "/scope/config/host")
            );
            remedies.push(item.remedy);
        }
        remedies.sort();
        remedies.dedup();
        assert_eq!(remedies.len(), 5, "{remedies:?}");
    }

    #[test]
    fn cgroup_v1_is_a_warning() {
        for (version, wanted) in [
            ("2", CheckResult::Pass),
            ("1", CheckResult::Warn),
            ("", CheckResult::Warn),
        ] {
            let mut findings = Findings::default();
            cgroups(&info(version), &mut findings);
            assert_eq!(found(findings), [(wanted, String::new())], "version {version:?}");
        }
    }

    #[test]
    fn a_machine_fits_the_host_and_all_of_them_are_warned_of() {
        let spec = |vcpus, memory_mib| Spec {
            vcpus,
            memory_mib,
            ..Spec::default()
        };
        for (given, fields) in [
            (spec(2, 4096), vec![]),
            (spec(0, 0), vec![]),
            (spec(3, 4096), vec!["/specs/0/vcpus"]),
            (spec(3, 4097), vec!["/specs/0/vcpus", "/specs/0/memory_mib"]),
        ] {
            let mut findings = Findings::default();
            size(&info("2"), &given, "/specs/0", &mut findings);
            let wanted: Vec<_> = fields
                .into_iter()
                .map(|field| (CheckResult::Fail, field.to_owned()))
                .collect();
            assert_eq!(found(findings), wanted);
        }
        for (count, wanted) in [(2, 0), (3, 1)] {
            let mut findings = Findings::default();
            let request = CheckScopeRequest {
                specs: vec![spec(1, 2048)],
                counts: vec![count],
                ..CheckScopeRequest::default()
            };
            memory(&info("2"), &request, &mut findings);
            assert_eq!(findings.0.len(), wanted, "{count} machines");
        }
    }
}
