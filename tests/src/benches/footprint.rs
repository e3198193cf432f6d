//! Size of the program, idle memory, and start until the API answers. Goals: DESIGN §6.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Case, RUNS};
use crate::server::{Server, program};

/// Time to settle before memory is read; what is freed late would count else.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) async fn run() -> anyhow::Result<Vec<Case>> {
    let size = std::fs::metadata(program()?)?.len() as f64 / 1e6;
    let (mut start, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let began = Instant::now();
        let server = Server::start().await?;
        start.push(began.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(SETTLE).await;
        memory.push(resident(server.pid().context("the server is gone")?)?);
        server.end().await?;
    }
    Ok(vec![
        Case {
            case: "size of the program",
            unit: "MB",
            runs: vec![size],
            goal: 25.0,
        },
        Case {
            case: "idle memory (RSS)",
            unit: "MB",
            runs: memory,
            goal: 36.0,
        },
        Case {
            case: "first start to API answer",
            unit: "ms",
            runs: start,
            goal: 100.0,
        },
    ])
}

fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
