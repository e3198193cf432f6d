//! nginx, as a static file server that is ready for storms: sendfile, a worker for each core, a backlog of 4,096.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use super::cable::{Cable, PEER};
use super::leftovers::children;
use super::process::{Process, installed};

/// Where it listens.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(PEER), 80);
const START: Duration = Duration::from_secs(10);

/// Starts it with the folder `root` in `folder`, and waits for its workers.
pub(super) fn start(cable: &Cable, folder: &Path) -> anyhow::Result<Process> {
    let (file, log) = (folder.join("nginx.conf"), folder.join("nginx.log"));
    std::fs::write(&file, config(folder))?;
    let mut command = Command::new(installed("/usr/sbin/nginx", "nginx-light")?);
    command.arg("-e").arg(&log).arg("-c").arg(&file);
    let process = Process::start(&cable.server, command, &log)?;
    while children(process.id()).len() < WORKERS {
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(
            process.began.elapsed() < START,
            "nginx does not start: {}",
            said()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(process)
}

const WORKERS: usize = 2;

fn config(folder: &Path) -> String {
    let folder = folder.display();
    let mut temporary = String::new();
    for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        temporary += &format!("{what}_temp_path {folder}/{what};\n");
    }
    format!(
        "user root;\ndaemon off;\nworker_processes {WORKERS};\npid {folder}/nginx.pid;\nworker_rlimit_nofile 20000;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n{temporary}access_log off;\nsendfile on;\ntcp_nopush on;\nkeepalive_requests 10000000;\n\
         default_type application/octet-stream;\n\
         server {{ listen {ADDRESS} backlog=4096; root {folder}/root; }}\n}}\n"
    )
}
