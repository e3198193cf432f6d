//! Import of a hardware file into a new appliance: time, when DHCP serves the last row, the same file again, and the
//! list of all machines. Beside it sqlite3 reads the same file into a table with three unique indexes, which checks
//! nothing of what a row says.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use nix::unistd::Uid;

use super::cable::{Cable, SERVER};
use super::footprint::probes::{self, MAC, RESERVED};
use super::footprint::{self, installed};
use super::{Case, Findings, Peer, RUNS};
use crate::rack::done;
use crate::server::program;

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
    ensure!(Uid::effective().is_root(), "network namespaces need root");
    let sqlite = installed("/usr/bin/sqlite3", "sqlite3")?;
    let cable = Cable::lay()?;
    let folder = tempfile::tempdir()?;
    let parts = folder.path().join("parts");
    done(Command::new(program()?).args(["image", "export"]).arg(&parts))?;
    let mut cases = Vec::new();
    for (rows, runs) in SIZES {
        let csv = folder.path().join(format!("{rows}.csv"));
        std::fs::write(&csv, file(rows)?)?;
        let mut figures = Figures::default();
        for _ in 0..runs {
            figures.ours(&cable, &parts, &csv, rows)?;
            figures.peer(&sqlite, &csv, rows)?;
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

/// Machines in a network of their own, and last the one that asks for an address.
fn file(rows: usize) -> anyhow::Result<String> {
    let mut text = String::from("hostname,ip_address,netmask,gateway,nameservers,mac,disk,labels\n");
    let rest = ",/dev/sda,type=worker\n";
    for number in 1..rows {
        let [_, a, b, c] = u32::try_from(number)?.to_be_bytes();
        write!(
            text,
            "node-{number},10.{}.{b}.{c},255.192.0.0,10.127.255.254,10.127.255.254,02:00:01:{a:02x}:{b:02x}:{c:02x}{rest}",
            64 + a
        )?;
    }
    let mac = MAC.map(|octet| format!("{octet:02x}")).join(":");
    write!(
        text,
        "last,{RESERVED},255.255.255.0,{SERVER},{SERVER},{mac}{rest}"
    )?;
    Ok(text)
}

impl Figures {
    /// A new appliance.
    fn ours(&mut self, cable: &Cable, parts: &Path, csv: &Path, rows: usize) -> anyhow::Result<()> {
        let site = tempfile::tempdir()?;
        let ready = footprint::api(cable, site.path(), false);
        let server = footprint::serve(cable, site.path(), parts)?;
        ready.since(server.began)?;
        let command = |arguments: &[&str]| -> anyhow::Result<(f64, String)> {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &cable.server]).arg(program()?);
            command
                .arg("--kubeconfig")
                .arg(site.path().join("data/admin.kubeconfig"));
            command.args(arguments);
            let began = Instant::now();
            let said = done(&mut command)?;
            Ok((began.elapsed().as_secs_f64(), said))
        };
        let apply = [
            "apply",
            "hardware",
            "-z",
            csv.to_str().context("a path that is not text")?,
        ];
        let (seconds, said) = command(&apply)?;
        let ended = Instant::now();
        self.offer.push(probes::dhcp(cable).since(ended)? / 1e3);
        self.import.push(seconds);
        ensure!(said.lines().count() == rows, "not every row was created");
        let (seconds, said) = command(&apply)?;
        ensure!(
            said.trim() == format!("{rows} unchanged"),
            "the second import said {said}"
        );
        self.again.push(seconds);
        let (seconds, said) = command(&["get", "hardware"])?;
        ensure!(said.lines().count() == rows + 1, "not every machine is listed");
        self.list.push(seconds);
        server.end()
    }

    fn peer(&mut self, sqlite: &Path, csv: &Path, rows: usize) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
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

    /// Goals: an import in twice the peer's time, the same file again in once, a list in twice; all by the peer's
    /// median of this run.
    fn cases(self, rows: usize) -> Vec<Case> {
        let names = match rows {
            1_000 => [
                "import of 1k rows",
                "OFFER of the last of 1k",
                "1k rows again",
                "list of 1k",
            ],
            10_000 => [
                "import of 10k rows",
                "OFFER of the last of 10k",
                "10k rows again",
                "list of 10k",
            ],
            _ => [
                "import of 100k rows",
                "OFFER of the last of 100k",
                "100k rows again",
                "list of 100k",
            ],
        };
        let peer = |runs: &[f64]| Peer {
            name: "sqlite3",
            runs: runs.to_vec(),
        };
        let (import, list) = (peer(&self.sqlite), peer(&self.sqlite_list));
        let (import_time, list_time) = (super::spread(&import.runs).1, super::spread(&list.runs).1);
        let case = |case, runs: Vec<f64>, peer: Option<&Peer>, goal: f64| Case {
            case,
            unit: "ms",
            runs: runs.into_iter().map(|seconds| seconds * 1e3).collect(),
            peer: peer.map(|peer| Peer {
                name: peer.name,
                runs: peer.runs.iter().map(|seconds| seconds * 1e3).collect(),
            }),
            goal: goal * 1e3,
        };
        let [first, offer, again, listed] = names;
        vec![
            case(first, self.import, Some(&import), 2.0 * import_time),
            case(offer, self.offer, None, 0.01),
            case(again, self.again, Some(&import), import_time),
            case(listed, self.list, Some(&list), 2.0 * list_time),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_another_machine() {
        let text = file(70_000).unwrap();
        let column = |index: usize| -> std::collections::HashSet<&str> {
            let rows = text.lines().skip(1);
            rows.map(|row| row.split(',').nth(index).unwrap()).collect()
        };
        for index in [0, 1, 5] {
            assert_eq!(column(index).len(), 70_000, "column {index}");
        }
        assert!(text.ends_with(
            "last,10.9.0.50,255.255.255.0,10.9.0.1,10.9.0.1,02:00:00:00:b1:01,/dev/sda,type=worker\n"
        ));
    }
}
