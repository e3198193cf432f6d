//! Cilium's objects: its chart, rendered with what the documents of the cluster say.

use std::collections::BTreeSet;

use helm_chart::{Chart, Release};
use serde_json::{Map, Value};

use super::work::Work;
use crate::plan::Wanted;

const NAMESPACE: &str = "kube-system";
/// The DaemonSet whose pods are on every node.
pub(crate) const DAEMON_SET: &str = "cilium";

/// What is rendered, apart from the cluster that it is for.
struct Wish {
    chart: Vec<u8>,
    release: Release,
    cilium: cluster_spec::Cilium,
    of_kubernetes: resources::gantry::ReleaseSpec,
    machines: usize,
}

/// Cilium's objects in the order in which they are applied, its DaemonSet last: where it is, everything is. The error says what
/// is missing, for people.
pub(super) async fn objects(
    work: &Work<'_>,
    wanted: &Wanted,
    is_upgrade: bool,
) -> Result<Vec<Value>, String> {
    let of_kubernetes = work.release(&wanted.version);
    let Some(source) = cluster_spec::cilium_chart(&of_kubernetes) else {
        return Err(format!(
            "the Release of {} has no chart of cilium",
            wanted.version
        ));
    };
    let Some(charts) = &work.options.charts else {
        return Err("this program reads no charts".to_owned());
    };
    let wish = Wish {
        chart: charts.read(source).await?,
        release: Release {
            name: "cilium".to_owned(),
            namespace: NAMESPACE.to_owned(),
            kube_version: wanted.version.clone(),
            api_versions: BTreeSet::new(),
            is_upgrade,
        },
        cilium: wanted.cilium.clone().unwrap_or_default(),
        of_kubernetes,
        machines: wanted.pools.iter().map(|pool| pool.count).sum(),
    };
    let rendered = tokio::task::spawn_blocking(move || render(&wish)).await;
    rendered.map_err(|error| error.to_string())?
}

fn render(wish: &Wish) -> Result<Vec<Value>, String> {
    let chart = Chart::from_archive(&wish.chart).map_err(|error| error.to_string())?;
    let values: Map<String, Value> = wish
        .cilium
        .values(&wish.of_kubernetes, chart.values(), wish.machines);
    let rendered = chart.render(&wish.release, &values);
    let objects = rendered.map_err(|error| error.to_string())?.objects;
    let mut objects: Vec<Value> = objects.into_iter().map(|object| object.object).collect();
    objects.extend(wish.cilium.policies());
    // A stable sort: the others keep their order.
    objects.sort_by_key(|object| object["kind"] == "DaemonSet" && object["metadata"]["name"] == DAEMON_SET);
    Ok(objects)
}
