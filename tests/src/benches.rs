//! The registry of benchmarks, how they are run and ended, and how results are printed.

mod api;
mod boot_files;
mod cable;
mod case;
mod chain;
mod clusters;
mod dhcp;
mod dnsmasq;
mod findings;
mod footprint;
mod http;
mod http_client;
mod image;
mod import;
mod kube_api;
mod leftovers;
mod machines;
mod metadata;
mod meter;
mod nginx;
mod probes;
mod process;
mod site;
mod tftp;

use anyhow::bail;

pub(crate) use case::{Case, Goal, RUNS};
pub(crate) use findings::Findings;

use crate::waiting::{AskedToEnd, unless_asked_to_end};

/// A benchmark.
struct Bench {
    name: &'static str,
    about: &'static str,
}

const ALL: &[Bench] = &[
    Bench {
        name: "api",
        about: "B15: creates by 1 and 16 clients, a list of 10,000 objects and single gets, beside kube-apiserver with etcd",
    },
    Bench {
        name: "clusters",
        about: "B14: 1,000 single-node clusters (or --count) through the coordinator beside 100, everything around it simulated: time, CPU, memory, requests, and those at rest",
    },
    Bench {
        name: "dhcp",
        about: "B1 and B2: exchanges of 10,000 machines through a relay, one by one, 32 at once and in a burst, beside Kea",
    },
    Bench {
        name: "footprint",
        about: "B11: size of the programs, memory and CPU when idle, start until the first DHCP, TFTP, HTTP and API answer, without machines and with up to 100,000 (minutes)",
    },
    Bench {
        name: "http",
        about: "B5: storms of 64, 256 and 1,000 machines that fetch their scripts, kernel and installer, beside nginx",
    },
    Bench {
        name: "image",
        about: "B9: a node-like image into a file and a loop device, digests and reading back included, beside zstd and dd",
    },
    Bench {
        name: "import",
        about: "B12: import of 1k, 10k and 100k rows beside sqlite3, the same again, DHCP of the last row (minutes)",
    },
    Bench {
        name: "metadata",
        about: "B6: host names by source address with 1,000 and 10,000 machines, keep-alive and close, beside nginx",
    },
    Bench {
        name: "tftp",
        about: "B4: 50 MiB with windows of 1, 16 and 64 blocks beside atftpd, 64 and 256 machines at once beside dnsmasq",
    },
    Bench {
        name: "chain",
        about: "B16: two machines to a Ready cluster, beside kubeadm by hand on the same image (half an hour)",
    },
];

/// Runs benchmarks by name.
pub(crate) async fn run(
    names: &[String],
    list: bool,
    json: bool,
    count: Option<usize>,
) -> anyhow::Result<()> {
    if list || names.is_empty() {
        for bench in ALL {
            println!("{:12} {}", bench.name, bench.about);
        }
        return Ok(());
    }
    leftovers::clear_of_the_gone();
    let result = unless_asked_to_end(run_all(names, json, count)).await;
    if let Err(error) = &result
        && error.is::<AskedToEnd>()
    {
        leftovers::clear_own();
    }
    result
}

async fn run_all(names: &[String], json: bool, count: Option<usize>) -> anyhow::Result<()> {
    for name in names {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        eprintln!("load before {name}: {}", load.trim());
        let mut findings = match name.as_str() {
            "api" => tokio::task::spawn_blocking(api::run).await??,
            "clusters" => tokio::task::spawn_blocking(move || clusters::run(count)).await??,
            "dhcp" => tokio::task::spawn_blocking(dhcp::run).await??,
            "footprint" => tokio::task::spawn_blocking(footprint::run).await??,
            "http" => tokio::task::spawn_blocking(http::run).await??,
            "import" => tokio::task::spawn_blocking(import::run).await??,
            "metadata" => tokio::task::spawn_blocking(metadata::run).await??,
            "tftp" => tokio::task::spawn_blocking(tftp::run).await??,
            "chain" => chain::run().await?,
            "image" => tokio::task::spawn_blocking(image::run).await??,
            other => bail!("there is no benchmark {other:?}; --list names them"),
        };
        if is_busy(&load) {
            findings
                .notes
                .push("the machine was busy before the start: times are not those of an idle one".to_owned());
        }
        for note in &findings.notes {
            eprintln!("{name}: {note}");
        }
        for case in &findings.cases {
            println!("{}", if json { case.line(name)? } else { case.row(name) });
        }
    }
    Ok(())
}

/// More than this many processes on average wanted to run before the start.
fn is_busy(load: &str) -> bool {
    let last_minute = load.split_whitespace().next().and_then(|load| load.parse().ok());
    last_minute.is_some_and(|load: f64| load > 1.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_noted() {
        assert!(is_busy("2.50 0.1 0.1 1/2 3") && !is_busy("0.30 9 9 1/2 3"));
    }
}
