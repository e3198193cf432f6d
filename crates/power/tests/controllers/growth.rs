//! What a BMC and a Job cost does not depend on how many there are.

use futures::{StreamExt as _, stream};

use super::*;

/// Requests and bytes of answers for one BMC that is added and a Job on it, beside so many BMCs with a Job that has ended.
async fn cost(others: usize) -> (u64, u64) {
    let api = sim::Site::start(NAMESPACE).await;
    let add = |number: usize| {
        let (api, name) = (&api, format!("other-{number}"));
        async move {
            // Its password is missing, so that nothing is asked of it.
            let bmc = json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": name},
                "spec": {"connection": {"host": format!("198.51.100.{number}"), "port": 443, "insecureTLS": true,
                    "authSecretRef": {"name": "missing", "namespace": NAMESPACE}}}});
            api.make::<Machine>(bmc).await;
            let server = json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name},
                "spec": {"machineId": format!("m-{number}"), "hardware": name, "bmc": name}});
            api.make::<Server>(server).await;
            let job = json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job", "metadata": {"name": name},
                "spec": {"machineRef": {"name": name, "namespace": NAMESPACE}, "tasks": netboot()}});
            api.make::<Job>(job).await;
            let ended = json!({"status": {"conditions": [{"type": "Completed", "status": "True"}]}});
            api.merge_status::<Job>(&name, ended).await;
        }
    };
    stream::iter(0..others).for_each_concurrent(32, add).await;
    let site = Site::on(api);
    let before = site.traffic.at_rest().await;
    let bmc = FakeBmc::start().await;
    bmc.set_power("On");
    site.add_bmc("m", &bmc, fake_bmc::PASSWORD).await;
    site.add_server("m", "m").await;
    site.wait::<Machine>("m", |object| has(object, "Contactable"))
        .await;
    site.add_job("netboot", "m", netboot()).await;
    site.wait::<Job>("netboot", |object| has(object, "Completed"))
        .await;
    let after = site.traffic.at_rest().await;
    site.stop().await;
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_costs_the_same_at_any_number_of_machines() {
    let (few, many) = (cost(50).await, cost(500).await);
    println!("requests and bytes with 50 BMCs {few:?}, with 500 {many:?}");
    assert!(few.0 > 0 && few.1 > 0, "nothing was counted");
    // How often a BMC is asked while it acts differs from run to run.
    assert!(
        many.0 <= few.0 * 2 && many.1 <= few.1 * 2,
        "50 BMCs: {few:?}, 500 BMCs: {many:?}"
    );
}
