//! Import of a hardware file into a new appliance: time, when DHCP serves the last row, the same file again, and the
//! list of all machines. Beside it sqlite3 reads the same file into a table with three unique indexes, which checks
//! nothing of what a row says.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::ensure;

use super::cable::{Cable, SERVER};
use super::machines::{self, spelled};
use super::probes::{self, MAC, RESERVED};
use super::process::installed;
use super::site::{Parts, Site};
use super::{Case, Findings, Goal, RUNS, leftovers};
use crate::command::done;

/// Rows of the files, with how often each is imported: the largest takes minutes.
const SIZES: [(usize, usize); 3] = [(1_000, RUNS), (10_000, RUNS), (100_000, 1)];

/// Seconds, all runs of one size.
#[derive(Debug, Default)]
struct Figures {
    import: Vec<f64>,
    offer: Vec<f64>,
    again: Vec<f64>,
    list: Vec<f64>,
    sqlite: Vec<f64>,
    sqlite_list: Vec<f64>,
}

pub(super) fn run() -> anyhow::Result<Findings> {
    let sqlite = installed("/usr/bin/sqlite3", "sqlite3")?;
    let cable = Cable::lay()?;
    let (parts, folder) = (Parts::with(&[])?, leftovers::folder()?);
    let mut cases = Vec::new();
    for (rows, runs) in SIZES {
        let (csv, file) = (csv(rows), folder.path().join(format!("{rows}.csv")));
        std::fs::write(&file, &csv)?;
        let mut figures = Figures::default();
        for _ in 0..runs {
            figures.ours(&cable, &parts, &csv, rows)?;
            figures.peer(&sqlite, &file, rows)?;
        }
        cases.extend(figures.cases(rows));
    }
    Ok(Findings {
        cases,
        notes: vec![
            "sqlite3 checks no value, makes no objects and serves nobody; its file is synced once".to_owned(),
        ],
    })
}

/// Machines in a network of their own, and last the one that [`probes::dhcp`] asks for.
pub(super) fn csv(rows: usize) -> String {
    let (others, mac) = (machines::csv(rows - 1), spelled(MAC));
    format!("{others}last,{RESERVED},255.255.255.0,{SERVER},{SERVER},{mac},/dev/sda,type=worker\n")
}

impl Figures {
    /// A new appliance.
    fn ours(&mut self, cable: &Cable, parts: &Parts, csv: &str, rows: usize) -> anyhow::Result<()> {
        let site = Site::new()?;
        let server = site.start(cable, parts, &[])?;
        let (seconds, said) = site.import(cable, csv)?;
        let ended = Instant::now();
        self.offer.push(probes::dhcp(cable).since(ended)? / 1e3);
        self.import.push(seconds);
        ensure!(said.lines().count() == rows, "not every row was created");
        let (seconds, said) = site.import(cable, csv)?;
        ensure!(
            said.trim() == format!("{rows} unchanged"),
            "the second import said {said}"
        );
        self.again.push(seconds);
        let (seconds, said) = site.gantry(cable, &["get", "hardware"])?;
        ensure!(said.lines().count() == rows + 1, "not every machine is listed");
        self.list.push(seconds);
        server.end()
    }

    fn peer(&mut self, sqlite: &Path, csv: &Path, rows: usize) -> anyhow::Result<()> {
        let folder = leftovers::folder()?;
        let database = folder.path().join("hardware.db");
        let columns = "hostname TEXT UNIQUE, ip_address TEXT UNIQUE, netmask TEXT, gateway TEXT, nameservers TEXT, \
                       mac TEXT UNIQUE, disk TEXT, labels TEXT";
        let create = format!("CREATE TABLE hardware ({columns})");
        let import = format!(".import --csv --skip 1 {} hardware", csv.display());
        let began = Instant::now();
        done(Command::new(sqlite).arg(&database).args([create, import]))?;
        self.sqlite.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let listed = done(
            Command::new(sqlite)
                .arg("-csv")
                .arg(&database)
                .arg("SELECT * FROM hardware ORDER BY hostname"),
        )?;
        self.sqlite_list.push(began.elapsed().as_secs_f64());
        ensure!(listed.lines().count() == rows, "sqlite3 did not import every row");
        Ok(())
    }

    /// Goals: an import in twice the peer's time, the same file again in once, a list in twice.
    fn cases(self, rows: usize) -> Vec<Case> {
        let milliseconds = |runs: &[f64]| runs.iter().map(|seconds| seconds * 1e3).collect();
        let case = |what: &str, runs: &[f64], goal| {
            Case::new(
                format!("{}k rows: {what}", rows / 1000),
                "ms",
                milliseconds(runs),
                goal,
            )
        };
        let beside = |case: Case, runs| case.beside("sqlite3", milliseconds(runs));
        vec![
            beside(case("import", &self.import, Goal::RatioAtMost(2.0)), &self.sqlite),
            case("OFFER of the last", &self.offer, Goal::AtMost(10.0)),
            beside(
                case("the same again", &self.again, Goal::RatioAtMost(1.0)),
                &self.sqlite,
            ),
            beside(
                case("list", &self.list, Goal::RatioAtMost(2.0)),
                &self.sqlite_list,
            ),
        ]
    }
}
