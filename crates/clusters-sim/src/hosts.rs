//! What the driver says in a ProviderCluster of the hosts that there are.

use resources::gantry::ProviderCluster;
use serde_json::json;

use crate::site::Site;

/// Bytes of memory of every server.
const MEMORY: u64 = 32 << 30;

impl Site {
    /// The driver answers to the present spec of a ProviderCluster.
    pub async fn react_provider_cluster(&self, object: &ProviderCluster) {
        let (mut pools, mut missing) = (Vec::new(), Vec::new());
        if self.driver().mute {
            return;
        }
        for pool in &object.spec.pools {
            if pool.plugin.is_some() {
                let hosts = self.driver().used_by(&object.spec.cluster_name, &pool.name);
                pools.push(json!({ "name": pool.name, "hosts": hosts, "free": pool.count.max(1) }));
                continue;
            }
            let mut terms = pool.selector().iter();
            let kind = terms.find_map(|term| term.match_labels.get("type")).unwrap();
            let (hosts, free) = {
                let driver = self.driver();
                let hosts = driver.used_by(&object.spec.cluster_name, &pool.name);
                (hosts, driver.free(kind))
            };
            if pool.count.saturating_sub(hosts) > free {
                missing.push(format!(
                    "{}: minimum hardware count not met for selector {{type={kind}}}: have {free} free",
                    pool.name
                ));
            }
            let capacity = json!({ "cpus": 8, "memory": MEMORY });
            pools.push(json!({ "name": pool.name, "hosts": hosts, "free": free, "capacity": capacity }));
        }
        let ready = json!({
            "type": "Ready", "status": if missing.is_empty() { "True" } else { "False" }, "reason": "Counted",
            "message": missing.join("\n"), "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let status = json!({
            "observedGeneration": object.metadata.generation, "initialization": { "provisioned": true },
            "conditions": [ready], "pools": pools,
        });
        self.write_status(object, status).await;
    }
}
