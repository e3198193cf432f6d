//! A client outside of a cluster that writes through its shared address all the time, and counts what it was promised.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::cluster_client::ClusterClient;
use crate::new_cluster::text;

/// Creates a ConfigMap about every second until it is ended.
pub(crate) struct OutsideWriter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Written>>,
    client: ClusterClient,
    prefix: &'static str,
}

/// What was acknowledged, and how long nothing was.
#[derive(Debug)]
struct Written {
    acknowledged: BTreeSet<String>,
    refused: usize,
    longest_gap: Duration,
}

impl OutsideWriter {
    /// Begins; `prefix` begins the names of its ConfigMaps.
    pub(crate) fn begin(client: ClusterClient, prefix: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, writes) = (stop.clone(), client.clone());
        let thread = std::thread::spawn(move || write_until(&writes, prefix, &stopped));
        Self {
            stop,
            thread: Some(thread),
            client,
            prefix,
        }
    }

    /// Ends it, prints what it saw, and fails when something that was acknowledged is missing. Returns the longest time
    /// for which nothing was acknowledged.
    pub(crate) fn end(mut self) -> anyhow::Result<Duration> {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("ended before")?;
        let written = thread
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        let list: Value = serde_json::from_str(&self.client.asked(&["get", "configmaps", "-o", "json"])?)?;
        let items = list["items"].as_array().context("no list of ConfigMaps")?;
        let there: BTreeSet<String> = items
            .iter()
            .map(|object| text(&object["metadata"]["name"]))
            .collect();
        let missing: Vec<&String> = written.acknowledged.difference(&there).collect();
        println!(
            "{}: {} writes acknowledged, {} not; acknowledged and missing: {}; longest gap {:.1} s",
            self.prefix,
            written.acknowledged.len(),
            written.refused,
            missing.len(),
            written.longest_gap.as_secs_f64()
        );
        ensure!(
            !written.acknowledged.is_empty() && missing.is_empty(),
            "acknowledged and missing: {missing:?}"
        );
        Ok(written.longest_gap)
    }
}

impl Drop for OutsideWriter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn write_until(client: &ClusterClient, prefix: &str, stop: &AtomicBool) -> Written {
    let mut written = Written {
        acknowledged: BTreeSet::new(),
        refused: 0,
        longest_gap: Duration::ZERO,
    };
    let mut last = Instant::now();
    for number in 1_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("{prefix}-{number}");
        match client.asked(&["create", "configmap", &name, "--request-timeout=5s"]) {
            Ok(_) => {
                written.longest_gap = written.longest_gap.max(last.elapsed());
                written.acknowledged.insert(name);
                last = Instant::now();
            }
            Err(_) => written.refused += 1,
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    written.longest_gap = written.longest_gap.max(last.elapsed());
    written
}
