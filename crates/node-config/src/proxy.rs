//! The machines' proxy: systemd drop-ins with the variables that Go programs read. Static pods get none, as in EKS
//! Anywhere: their traffic stays inside the cluster.

use crate::cluster::ClusterSettings;

/// Paths and texts; none without a proxy.
pub(crate) fn files(cluster: &ClusterSettings) -> Vec<(String, String)> {
    let Some(proxy) = &cluster.proxy else {
        return Vec::new();
    };
    let variables = [
        ("HTTP_PROXY", proxy.http_proxy.clone()),
        ("HTTPS_PROXY", proxy.https_proxy.clone()),
        ("NO_PROXY", no_proxy(cluster, &proxy.no_proxy).join(",")),
    ];
    // A percent sign begins a specifier there (systemd.unit(5)), and may be part of a password.
    let lines =
        variables.map(|(name, value)| format!("Environment=\"{name}={}\"\n", value.replace('%', "%%")));
    let text = format!("[Service]\n{}", lines.concat());
    ["containerd", "kubelet"]
        .map(|unit| {
            (
                format!("/etc/systemd/system/{unit}.service.d/http-proxy.conf"),
                text.clone(),
            )
        })
        .to_vec()
}

/// What is reached without the proxy: what the user says, and the cluster's own networks, names and addresses.
fn no_proxy(cluster: &ClusterSettings, said: &[String]) -> Vec<String> {
    let endpoint = cluster.endpoint.to_string();
    let before = [cluster.pod_cidr.as_str(), &cluster.service_cidr];
    let after = [
        "localhost",
        "127.0.0.1",
        ".svc",
        ".cluster.local",
        &endpoint,
        &cluster.appliance,
    ];
    let mut list: Vec<String> = Vec::new();
    for entry in before
        .into_iter()
        .chain(said.iter().map(String::as_str))
        .chain(after)
    {
        if !entry.is_empty() && !list.iter().any(|known| known == entry) {
            list.push(entry.to_owned());
        }
    }
    list
}
