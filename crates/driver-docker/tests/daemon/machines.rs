//! Machines as the daemon sees them.

use driver::Fault;
use driver::v1::{Nic, Phase, Power, Reason, Userdata, UserdataFormat};
use serde_json::json;
use tonic::Code;

use super::dockerd::Dockerd;
use super::process::{Driver, config, spec};

/// Stands in the user data alone.
const CANARY: &str = "canary-5d1e77aa90";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io"]
async fn machine_is_what_its_spec_says() {
    let daemon = Dockerd::start();
    let driver = Driver::start(&config(&daemon), Vec::new(), None).await;
    let mut spec = spec();
    spec.userdata = Some(Userdata {
        format: UserdataFormat::CloudConfig.into(),
        data: CANARY.into(),
        metadata: Vec::new(),
    });
    spec.nics = vec![Nic {
        mac: "02:00:00:00:00:50".to_owned(),
        addresses: vec!["172.30.0.50/24".to_owned()],
        dns: vec!["172.30.0.1".to_owned()],
        ..Nic::default()
    }];
    let status = driver.create("prod-a", &spec).await;
    let address = status.addresses.first().expect("an address");
    assert_eq!(address.address, "172.30.0.50");
    assert_eq!(
        (address.network.as_str(), address.mac.as_str()),
        ("lan", "02:00:00:00:00:50")
    );
    assert_eq!(
        status.identity.expect("an identity").provider_id,
        "docker:////prod-a"
    );

    let seen = daemon.inspect("prod-a");
    let host = &seen["HostConfig"];
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["NanoCpus"], 1_000_000_000);
    assert_eq!(host["CapDrop"], json!(["SYS_RESOURCE"]));
    assert_eq!(host["CgroupnsMode"], "private");
    assert_eq!(host["Dns"], json!(["172.30.0.1"]));
    assert_eq!(seen["Config"]["Hostname"], "prod-a");
    assert_eq!(
        seen["NetworkSettings"]["Networks"]["lan"]["IPAddress"],
        "172.30.0.50"
    );
    assert!(
        !seen.to_string().contains(CANARY),
        "user data is in what everybody sees of a container"
    );

    // The address is taken.
    let taken = driver
        .create_once("prod-b", &spec)
        .await
        .expect_err("the address has an owner");
    assert_eq!(Fault::from(&taken).detail.provider_code, "403", "{taken:?}");
    driver.delete("prod-b").await;
    driver.delete("prod-a").await;
    let volumes = daemon.call("GET", "/volumes", None).expect(200).json();
    assert_eq!(volumes["Volumes"], json!([]));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io"]
async fn power_is_what_was_asked_for() {
    let daemon = Dockerd::start();
    let driver = Driver::start(&config(&daemon), Vec::new(), None).await;
    driver.create("prod-a", &spec()).await;
    for (power, graceful, wanted) in [
        (Power::Off, true, Phase::Stopped),
        (Power::Off, false, Phase::Stopped),
        (Power::On, false, Phase::Running),
        (Power::On, false, Phase::Running),
        (Power::Off, false, Phase::Stopped),
        (Power::Reset, false, Phase::Running),
        (Power::Reset, true, Phase::Running),
    ] {
        assert_eq!(
            driver.switch("prod-a", power, graceful).await,
            wanted,
            "{power:?}"
        );
    }
    daemon.call("POST", "/containers/prod-a/pause", None).expect(204);
    assert_eq!(driver.phase("prod-a").await, Phase::Stopped);
    driver.create("prod-a", &spec()).await;
    assert_eq!(driver.phase("prod-a").await, Phase::Running);
    let status = driver.switch("prod-b", Power::On, false).await;
    assert_eq!(status, Phase::Absent);
    driver.delete("prod-a").await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io"]
async fn refusals_name_the_field() {
    let daemon = Dockerd::start();
    let driver = Driver::start(&config(&daemon), Vec::new(), None).await;
    let mut without_image = spec();
    without_image.image_ref = "no-such:v1".to_owned();
    let mut without_network = spec();
    without_network.nics = vec![Nic {
        network: "no-such".to_owned(),
        ..Nic::default()
    }];
    let mut without_program = spec();
    let command = json!({"command": ["/sbin/no-such"]});
    without_program.provider = command.as_object().map(driver::json::to_struct);
    for (spec, code, reason, field) in [
        (
            without_image,
            Code::NotFound,
            Reason::ImageMissing,
            "/spec/image_ref",
        ),
        (
            without_network,
            Code::NotFound,
            Reason::NetworkMissing,
            "/spec/nics/0/network",
        ),
        (without_program, Code::InvalidArgument, Reason::InvalidSpec, ""),
    ] {
        let refused = driver
            .create_once("prod-a", &spec)
            .await
            .expect_err("it can't be made");
        let fault = Fault::from(&refused);
        assert_eq!((fault.code, fault.reason()), (code, reason), "{refused:?}");
        assert_eq!(fault.detail.field, field, "{refused:?}");
    }
    // What could not be started is there, and goes.
    assert_eq!(driver.phase("prod-a").await, Phase::Creating);
    driver.delete("prod-a").await;
    assert_eq!(driver.phase("prod-a").await, Phase::Absent);
    driver.stop().await;
}
