//! A real system in a container: systemd, and cloud-init, which has to find the seed.

use std::process::Command;
use std::time::{Duration, Instant};

use driver::v1::{Phase, Power, Userdata, UserdataFormat};
use serde_json::json;

use super::dockerd::Dockerd;
use super::images::{ensure, sha256};
use super::peer::only_file;
use super::process::{Driver, config, spec};

const PACKAGES: &str = "systemd-sysv,dbus,cloud-init,iproute2,procps,udev";
const USER_DATA: &str = "#cloud-config
locale: false
runcmd:
- [sh, -c, hostname > /etc/name-of-seed]
";
/// What a boot of a busy machine may take.
const BOOT: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd and mmdebstrap; takes minutes"]
async fn system_gets_its_user_data_and_shuts_down() {
    let daemon = Dockerd::start();
    let archive = daemon.folder().join("system.tar");
    let made = Command::new("mmdebstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"])
        .arg(&archive)
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "mmdebstrap makes a system"
    );
    let driver = Driver::start(&config(&daemon), vec![archive.clone()], None).await;
    let source = json!({"archive": archive});
    let image = ensure(&driver, "system", &source, &sha256(&archive)).await;

    let mut spec = spec();
    (spec.vcpus, spec.memory_mib) = (0, 0);
    spec.image_ref = image.provider_image_id;
    spec.userdata = Some(Userdata {
        format: UserdataFormat::CloudConfig.into(),
        data: USER_DATA.into(),
        metadata: Vec::new(),
    });
    let settings = json!({"stopSignal": "SIGRTMIN+3"});
    spec.provider = settings.as_object().map(driver::json::to_struct);
    driver.create("prod-a", &spec).await;

    let until = Instant::now() + BOOT;
    let written = loop {
        let file = daemon.call("GET", "/containers/prod-a/archive?path=/etc/name-of-seed", None);
        if file.status == 200 {
            break only_file(&file.body).expect("a file");
        }
        let seen = daemon.inspect("prod-a");
        assert!(
            Instant::now() < until,
            "cloud-init does not run what the user data says: {seen}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert_eq!(written, hex::encode("prod-a\n"));

    assert_eq!(driver.switch("prod-a", Power::Off, true).await, Phase::Stopped);
    let seen = daemon.inspect("prod-a");
    assert_ne!(
        seen["State"]["ExitCode"], 137,
        "it was killed and has not shut down"
    );
    driver.delete("prod-a").await;
    driver.stop().await;
}
