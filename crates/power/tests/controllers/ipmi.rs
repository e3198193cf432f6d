//! The controllers and BMCs that speak IPMI: which protocol is chosen and why, Jobs by IPMI, and what is left on a BMC.

use ::ipmi::{BootDevice, Control, Privilege, ProductInfo, wire_guid};
use ipmi_server::{Account, Chassis as _, Fault, Identity, Profile, SimulatedBmc};
use resources::Secret as Sealed;

use super::*;

const PASSWORD: &str = fake_bmc::PASSWORD;

pub(crate) async fn bmc() -> SimulatedBmc {
    bmc_with(Profile::default()).await
}

pub(crate) async fn bmc_with(profile: Profile) -> SimulatedBmc {
    let account = Account {
        name: "ops".to_owned(),
        password: Sealed::new(PASSWORD.to_owned()),
        privilege: Privilege::Operator,
    };
    let identity = Identity {
        guid: wire_guid(fake_bmc::UUID).unwrap(),
        product: ProductInfo {
            serial: Some(fake_bmc::SERIAL.to_owned()),
            ..ProductInfo::default()
        },
    };
    SimulatedBmc::start(account, profile, identity).await.unwrap()
}

/// A TCP port that refuses connections.
fn closed() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Site {
    /// A BMC of this connection, with the right password.
    pub(crate) async fn add_connection(&self, name: &str, mut connection: Value) {
        self.api
            .make::<Secret>(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{name}-auth")},
            "type": "kubernetes.io/basic-auth", "stringData": {"username": "ops", "password": PASSWORD}}),
            )
            .await;
        connection["host"] = json!("127.0.0.1");
        connection["insecureTLS"] = json!(true);
        connection["authSecretRef"] = json!({"name": format!("{name}-auth"), "namespace": NAMESPACE});
        self.api
            .make::<Machine>(
                json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine",
            "metadata": {"name": name}, "spec": {"connection": connection}}),
            )
            .await;
    }

    /// What the Machine says of its contact: status, message, protocol, reason.
    async fn contact(&self, name: &str) -> [String; 4] {
        let machine = self
            .wait::<Machine>(name, |object| condition(object, "Contactable").is_some())
            .await;
        let held = condition(&machine, "Contactable").unwrap().clone();
        let status = &machine["status"];
        [
            &held["status"],
            &held["message"],
            &status["protocol"],
            &status["protocolReason"],
        ]
        .map(|value| value.as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_ipmi_only_netboots() {
    let (site, bmc) = (Site::start().await, bmc().await);
    bmc.machine.press(true);
    // One boot override is dropped: the read-back notices, and it is set again.
    bmc.machine.forget_boot_flags(1);
    let options = json!({"preferredOrder": ["ipmitool"], "ipmitool": {"port": bmc.port}});
    site.add_connection("m", json!({"providerOptions": options}))
        .await;
    let machine = site
        .wait::<Machine>("m", |object| has(object, "Contactable"))
        .await;
    assert_eq!(machine["status"]["powerState"], "on");
    assert_eq!(machine["status"]["protocol"], "ipmi");

    site.add_job("netboot", "m", netboot()).await;
    site.wait::<Job>("netboot", |object| has(object, "Completed"))
        .await;
    assert_eq!(bmc.machine.done(), [Control::Off, Control::On]);
    let flags = bmc.machine.boot_flags();
    assert!(flags.valid && flags.efi && !flags.persistent, "{flags:?}");
    assert_eq!(flags.device, BootDevice::Pxe);

    let kept = |machine: &Value| {
        let text = machine.pointer("/metadata/annotations/gantry.dev~1bmc-inventory")?;
        serde_json::from_str::<Value>(text.as_str()?).ok()
    };
    let machine = site.wait::<Machine>("m", |machine| kept(machine).is_some()).await;
    let inventory = kept(&machine).unwrap();
    assert_eq!(
        (&inventory["uuid"], &inventory["serial"]),
        (&json!(fake_bmc::UUID), &json!(fake_bmc::SERIAL))
    );
    site.stop().await;
    assert_eq!((bmc.handle.open_sessions(), bmc.handle.most_sessions()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_chosen_by_the_settings_and_by_what_answers() {
    let (site, bmc, redfish) = (Site::start().await, bmc().await, FakeBmc::start().await);
    let (ipmi_port, no_ipmi) = (bmc.port, closed());
    let both = |redfish: u16, ipmi: u16| {
        json!({"providerOptions": {"preferredOrder": ["gofish", "ipmitool"],
            "redfish": {"port": redfish}, "ipmitool": {"port": ipmi}}})
    };
    let only = json!({"port": ipmi_port, "providerOptions": {"redfish": {"port": closed()}}});
    let weak = json!({"providerOptions": {"preferredOrder": ["ipmitool"],
        "ipmitool": {"port": ipmi_port, "cipherSuite": "0"}}});
    let unknown = json!({"providerOptions": {"preferredOrder": ["intelamt"]}});
    for (name, connection, status, message, protocol, reason) in [
        (
            "redfish",
            both(redfish.port(), ipmi_port),
            "True",
            "",
            "redfish",
            "the first of the allowed",
        ),
        (
            "ipmi",
            both(closed(), ipmi_port),
            "True",
            "",
            "ipmi",
            "no Redfish: BMC 127.0.0.1 does not answer",
        ),
        (
            "neither",
            both(closed(), no_ipmi),
            "False",
            "no Redfish: ",
            "",
            "",
        ),
        (
            "not-allowed",
            only,
            "False",
            "it answers by IPMI, which this Machine does not allow",
            "",
            "",
        ),
        ("weak", weak, "False", "cipherSuite '0' is refused", "", ""),
        ("unknown", unknown, "False", "names intelamt", "", ""),
    ] {
        site.add_connection(name, connection).await;
        let [found, said, spoken, why] = site.contact(name).await;
        assert_eq!(
            (found.as_str(), spoken.as_str()),
            (status, protocol),
            "{name}: {said} {why}"
        );
        assert!(
            said.contains(message) && why.contains(reason),
            "{name}: '{said}' '{why}'"
        );
        if name == "neither" {
            assert!(said.contains("; no IPMI: ") && !said.contains('\n'), "{said}");
        }
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_and_jobs_share_one_session() {
    let (site, bmc) = (Site::start().await, bmc().await);
    let options = json!({"preferredOrder": ["ipmitool"], "ipmitool": {"port": bmc.port}});
    site.add_connection("m", json!({"providerOptions": options}))
        .await;
    site.wait::<Machine>("m", |object| has(object, "Contactable"))
        .await;
    for (number, tasks) in [netboot(), json!([{"powerAction": "off"}]), netboot()]
        .into_iter()
        .enumerate()
    {
        let name = format!("job-{number}");
        bmc.handle.inject(Fault::Lose, 2);
        site.add_job(&name, "m", tasks).await;
        let mut wish = 0;
        loop {
            // Somebody wants to know the power state all the time.
            wish += 1;
            let annotation = json!({"metadata": {"annotations": {"gantry.dev/poll-requested": format!("{number}-{wish}")}}});
            site.api.merge::<Machine>("m", annotation).await;
            let job: Job = site.api.api::<Job>().get(&name).await.unwrap();
            let job = serde_json::to_value(&job).unwrap();
            assert!(!has(&job, "Failed"), "{job}");
            if has(&job, "Completed") {
                break;
            }
        }
    }
    site.stop().await;
    assert_eq!((bmc.handle.open_sessions(), bmc.handle.most_sessions()), (0, 1));
    assert_eq!(bmc.machine.done(), [Control::On, Control::Off, Control::On]);
}

#[tokio::test(flavor = "multi_thread")]
async fn real_ipmi_sim_takes_power_jobs() {
    let site = Site::start().await;
    let simulator = sim::OpenIpmi::start("ops", PASSWORD);
    let options = json!({"preferredOrder": ["ipmitool"], "ipmitool": {"port": simulator.port()}});
    site.add_connection("m", json!({"providerOptions": options}))
        .await;
    for (name, action, power) in [("on", "on", "1"), ("off", "off", "0"), ("again", "on", "1")] {
        site.add_job(name, "m", json!([{"powerAction": action}])).await;
        site.wait::<Job>(name, |object| has(object, "Completed")).await;
        assert_eq!(simulator.power(), power, "{name}");
    }
    site.stop().await;
}
