//! Networks of clusters.

use driver::Fault;
use driver::json;
use driver::v1::{DeleteGroupRequest, EnsureGroupRequest, Owner, Reason, outcome};
use serde_json::{Value, json};
use tonic::Status;

use super::dockerd::Dockerd;
use super::process::{Driver, config, owner, spec};

async fn ensure(driver: &Driver, owner: &Owner, config: &Value) -> Result<Value, Status> {
    let request = EnsureGroupRequest {
        scope: driver.scope(),
        owner: Some(owner.clone()),
        config: config.as_object().map(json::to_struct),
        ..EnsureGroupRequest::default()
    };
    let status = driver.machines().ensure_group(request).await?.into_inner();
    Ok(json::from_struct(&status.outputs.unwrap_or_default()).into())
}

/// Whether it is settled.
async fn delete(driver: &Driver, owner: &Owner) -> Result<bool, Status> {
    let request = DeleteGroupRequest {
        scope: driver.scope(),
        owner: Some(owner.clone()),
        ..DeleteGroupRequest::default()
    };
    let status = driver.machines().delete_group(request).await?.into_inner();
    let outcome = status.outcome.and_then(|outcome| outcome.outcome);
    Ok(matches!(outcome, Some(outcome::Outcome::Settled(_))))
}

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> Reason {
    Fault::from(&answer.expect_err("it is refused")).reason()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io"]
async fn networks_of_clusters() {
    let daemon = Dockerd::start();
    let mut config = config(&daemon);
    let driver = Driver::start(&config, Vec::new(), None).await;
    let (owner, subnet) = (
        owner("prod-a"),
        json!({"subnet": "172.31.0.0/24", "gateway": "172.31.0.1"}),
    );
    let outputs = ensure(&driver, &owner, &subnet).await.expect("a network");
    assert_eq!(outputs, json!({"network": "gantry-prod-6f1c0f0e"}));
    assert_eq!(ensure(&driver, &owner, &subnet).await.expect("the same"), outputs);
    let other = json!({"subnet": "172.32.0.0/24"});
    assert_eq!(
        reason(ensure(&driver, &owner, &other).await),
        Reason::ConflictSpec
    );

    config["network"] = outputs["network"].clone();
    let inside = Driver::start(&config, Vec::new(), None).await;
    let status = inside.create("prod-a", &spec()).await;
    assert!(status.addresses[0].address.starts_with("172.31.0."), "{status:?}");
    assert_eq!(reason(delete(&driver, &owner).await), Reason::InUse);
    inside.delete("prod-a").await;
    while !delete(&driver, &owner).await.expect("the network goes") {}
    let networks = daemon.call("GET", "/networks", None).expect(200).json();
    assert!(!networks.to_string().contains("gantry-prod"), "{networks}");

    // A stranger's network of the name, and a subnet that another network has.
    let stranger = json!({"Name": "gantry-prod-6f1c0f0e"});
    daemon
        .call("POST", "/networks/create", Some(&stranger))
        .expect(201);
    assert_eq!(reason(ensure(&driver, &owner, &subnet).await), Reason::Foreign);
    let mut another = owner.clone();
    another.cluster_uid = "another".to_owned();
    let taken = json!({"subnet": super::dockerd::SUBNET});
    assert_eq!(
        reason(ensure(&driver, &another, &taken).await),
        Reason::InvalidSpec
    );
    inside.stop().await;
    driver.stop().await;
}
