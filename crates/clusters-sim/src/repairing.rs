//! How the driver renews certificates that have ended: the machine starts the installer, and then its system again. A member serves
//! nothing before a quorum of its cluster has certificates that count.

use jiff::Timestamp;
use resources::gantry::{CertificateRepairResult, ProviderMachine, ProviderMachineStatus};

use crate::driver::node_of;
use crate::played::Inside;
use crate::site::Site;

impl Site {
    /// The driver takes one step with the repair that a machine wants; what came of the last one.
    pub(crate) fn repaired(
        &self,
        machine: &ProviderMachine,
        host: &str,
        status: &ProviderMachineStatus,
    ) -> Option<CertificateRepairResult> {
        let last = status.certificate_repair.clone();
        let wish = machine.spec.certificate_repair.as_ref();
        let known = last.as_ref().map_or(0, |last| last.number);
        let Some(wish) = wish.filter(|wish| wish.number > known) else {
            return last;
        };
        let node = node_of(host);
        assert_eq!(wish.node, node);
        let address = self.driver().address(host).to_string();
        let cluster = self.clusters().get(&machine.spec.cluster_name);
        if self.driver().begins_repair(host, wish.number) {
            cluster.with(|inside| inside.start_installer(&node));
            return last;
        }
        let bad = self
            .driver()
            .bad_repairs
            .get_mut(host)
            .and_then(std::collections::VecDeque::pop_front);
        let number = wish.number;
        Some(cluster.with(|inside| {
            let result = inside.repair(&node, &address, bad);
            CertificateRepairResult { number, ..result }
        }))
    }
}

impl Inside {
    fn start_installer(&mut self, node: &str) {
        let mut members = self.etcd.values();
        assert!(
            members.all(|member| member.alive),
            "{node} is taken away beside another one"
        );
        self.log.push(format!("installer {node}"));
        self.power(node, false);
    }

    /// The machine and the member on it are off, or on.
    fn power(&mut self, node: &str, on: bool) {
        for known in self.nodes.values_mut().filter(|known| known.name == node) {
            known.ready = on;
        }
        for voter in self.etcd.values_mut().filter(|voter| voter.name == node) {
            voter.alive = on;
        }
    }

    fn repair(&mut self, node: &str, address: &str, bad: Option<String>) -> CertificateRepairResult {
        self.power(node, true);
        let now = Timestamp::now();
        let counts = self.renewals.certificates[address].etcd.not_after > now;
        let failure = bad.or_else(|| counts.then(|| "the certificates of this machine count".to_owned()));
        if failure.is_some() {
            return CertificateRepairResult {
                failure,
                ..CertificateRepairResult::default()
            };
        }
        let made = self.renewals.make(address);
        self.log.push(format!("repair {node}"));
        let voters = self.etcd.values().filter(|voter| !voter.learner);
        let (all, good) = voters.fold((0, 0), |(all, good), voter| {
            let known = self.renewals.certificates[&voter.address];
            (all + 1, good + usize::from(known.etcd.not_after > now))
        });
        self.silent = good * 2 <= all;
        CertificateRepairResult {
            api_server: Some(made.api.sha256),
            etcd: Some(made.etcd.sha256),
            ..CertificateRepairResult::default()
        }
    }
}
