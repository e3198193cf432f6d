//! CheckScope with what is wrong in reality.

use driver::launch::UserIds;
use driver::v1::{CheckItem, CheckResult};
use serde_json::json;
use tonic::Code;

use super::dockerd::Dockerd;
use super::process::{Driver, config, spec};

fn failed(items: &[CheckItem]) -> Vec<(&str, &str)> {
    let failed = items.iter().filter(|item| item.result() == CheckResult::Fail);
    failed
        .map(|item| (item.id.as_str(), item.field.as_str()))
        .collect()
}

/// Nobody's numbers in Debian.
const NOBODY: UserIds = UserIds {
    uid: 65534,
    gid: 65534,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io"]
async fn scopes_that_are_wrong() {
    let daemon = Dockerd::start();
    let mut config = config(&daemon);

    let nobody = Driver::start(&config, Vec::new(), Some(NOBODY)).await;
    let items = nobody.check(spec()).await;
    assert_eq!(failed(&items), [("daemon", "/scope/config/host")]);
    assert!(items[0].remedy.contains("group"), "{items:?}");
    let refused = nobody
        .create_once("prod-a", &spec())
        .await
        .expect_err("the socket is closed to it");
    assert_eq!(refused.code(), Code::PermissionDenied);
    nobody.stop().await;

    let driver = Driver::start(&config, Vec::new(), None).await;
    let mut large = spec();
    large.vcpus = 1000;
    let items = driver.check(large.clone()).await;
    assert_eq!(failed(&items), [("vcpus", "/specs/0/vcpus")]);
    let refused = driver
        .create_once("prod-a", &large)
        .await
        .expect_err("the daemon refuses it");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    driver.stop().await;

    config["host"] = json!(format!("unix://{}", daemon.folder().join("no.sock").display()));
    let driver = Driver::start(&config, Vec::new(), None).await;
    let items = driver.check(spec()).await;
    assert_eq!(failed(&items), [("daemon", "/scope/config/host")]);
    assert!(items[0].remedy.contains("Install Docker"), "{items:?}");
    let refused = driver
        .create_once("prod-a", &spec())
        .await
        .expect_err("nobody listens");
    assert_eq!(refused.code(), Code::Unavailable);
    driver.stop().await;
}
