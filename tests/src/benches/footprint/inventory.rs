//! The same start with machines: until the API answers, until the first OFFER, and what they cost in memory.

use anyhow::ensure;

use crate::benches::cable::Cable;
use crate::benches::import::csv;
use crate::benches::probes;
use crate::benches::site::{Parts, Site};
use crate::benches::{Case, Goal, RUNS};

/// Numbers of machines. The largest import takes minutes, so each is made once and started from several times.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Goals, which hold for every number: milliseconds, and MB.
const OFFER: f64 = 400.0;
const MEMORY: f64 = 120.0;

pub(super) fn run(cable: &Cable, parts: &Parts) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for machines in SIZES {
        let site = Site::new()?;
        let server = site.start(cable, parts, &[])?;
        let (_, said) = site.import(cable, &csv(machines))?;
        ensure!(said.lines().count() == machines, "not every row was created");
        server.end()?;
        let [mut api, mut offer, mut memory] = [const { Vec::new() }; 3];
        for _ in 0..RUNS {
            let (answer, first) = (site.api(cable, async |_| Ok(())), probes::dhcp(cable));
            let server = site.serve(cable, parts, &[])?;
            api.push(site.shown(answer.since(server.began))?);
            offer.push(site.shown(first.since(server.began))?);
            server.settle();
            memory.push(server.resident()?);
            server.end()?;
        }
        let mut case = |what: &str, unit, runs, most| {
            let name = format!("{}k machines: {what}", machines / 1000);
            cases.push(Case::new(name, unit, runs, Goal::AtMost(most)));
        };
        case("start to API answer", "ms", api, OFFER);
        case("start to first DHCP offer", "ms", offer, OFFER);
        case("memory (RSS)", "MB", memory, MEMORY);
    }
    Ok(cases)
}
