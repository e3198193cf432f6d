//! The Kubernetes API: durable creates of ConfigMaps of about 1 kB by one and by 16 clients, the list of 10,000 of them and
//! single reads. Beside it kube-apiserver with etcd. Goals: perf.md B15.

mod load;

use super::cable::Cable;
use super::kube_api::{self, KubeApi};
use super::site::{Parts, Site};
use super::{Case, Findings, Goal, RUNS};
use load::Outcome;

pub(super) fn run() -> anyhow::Result<Findings> {
    let cable = Cable::lay()?;
    let parts = Parts::with(&[])?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let site = Site::new()?;
        let server = site.start(&cable, &parts, &[])?;
        server.settle();
        ours.push(load::run(&cable, load::Access::Kubeconfig(site.kubeconfig()))?);
        server.end()?;
        let peer = KubeApi::start(&cable)?;
        peer.api.settle();
        theirs.push(load::run(&cable, load::Access::KubeApi)?);
        peer.end()?;
    }
    let case = |name: &str, unit, goal, figure: fn(&Outcome) -> f64| {
        let figures = |outcomes: &[Outcome]| outcomes.iter().map(figure).collect();
        Case::new(name, unit, figures(&ours), goal).beside(kube_api::NAME, figures(&theirs))
    };
    let mut findings = Findings {
        cases: vec![
            case("creates, 1 client", "/s", Goal::RatioAtLeast(1.0), |run| run.one),
            case("creates, 16 clients", "/s", Goal::RatioAtLeast(2.0), |run| {
                run.many
            }),
            case(
                "creates, 16 clients, 99th percentile",
                "ms",
                Goal::RatioAtMost(1.0),
                |run| run.late,
            ),
            case("list of 10,000", "ms", Goal::RatioAtMost(0.4), |run| run.list),
            case("single gets, 16 clients", "/s", Goal::RatioAtLeast(1.0), |run| {
                run.gets
            }),
        ],
        notes: vec!["HTTP/1.1 over TLS, connections stay open, JSON".to_owned()],
    };
    for (who, outcomes) in [("ours", &ours), (kube_api::NAME, &theirs)] {
        for (at, what) in load::STEPS.iter().enumerate() {
            let shares = outcomes
                .iter()
                .filter_map(|outcome| outcome.client.get(at).copied());
            findings.client(&format!("{what}, {who}"), shares);
        }
    }
    Ok(findings)
}
