//! Jobs that read what a BMC says of the hardware, switch its light, or send an NMI.

use ::ipmi::{Control, Factors, Format, Linear, Measure, SensorReading, SensorRecord, THRESHOLD, Thresholds};
use ipmi_server::{Chassis as _, Sensor};

use super::ipmi::bmc;
use super::*;

fn inlet() -> Sensor {
    Sensor {
        record: SensorRecord {
            owner: 0x20,
            lun: 0,
            number: 1,
            entity: (7, 1),
            kind: 1,
            reading: THRESHOLD,
            percent: false,
            unit: 1,
            measure: Some(Measure {
                factors: Factors {
                    format: Format::Unsigned,
                    linear: Linear::None,
                    m: 5,
                    b: 0,
                    b_exponent: 0,
                    r_exponent: -1,
                },
                thresholds: Thresholds::default(),
            }),
            name: "Inlet Temp".to_owned(),
        },
        reading: SensorReading {
            raw: Some(45),
            states: 0,
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_light_and_nmi() {
    let (site, bmc) = (Site::start().await, bmc().await);
    bmc.machine.equip(vec![inlet()], Vec::new());
    bmc.machine.press(true);
    let options = json!({"preferredOrder": ["ipmitool"], "ipmitool": {"port": bmc.port}});
    site.add_connection("m", json!({ "providerOptions": options }))
        .await;
    // An open attempt holds back what changes the machine, and nothing else.
    site.add_server("node-1", "m").await;
    let attempt = json!({"spec": {"attempt": {"number": 1, "workflow": "open"}}});
    site.api.merge::<Server>("node-1", attempt).await;
    site.api
        .make::<Workflow>(
            json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": "open"}, "spec": {}}),
        )
        .await;
    site.add_job("nmi", "m", json!([{"powerAction": "nmi"}])).await;

    site.add_job("sensors", "m", json!([{"report": "sensors"}])).await;
    site.wait::<Job>("sensors", |job| has(job, "Completed")).await;
    let task = site
        .wait::<Task>("sensors-task-0", |task| has(task, "Completed"))
        .await;
    let expected = json!({"protocol": "ipmi", "sensors": [
        {"name": "Inlet Temp", "kind": "Temperature", "reading": 22.5, "unit": "Cel", "health": "Ok"}]});
    assert_eq!(task["status"]["report"], expected);

    for (name, light) in [("light-on", "on"), ("light-off", "off")] {
        site.add_job(name, "m", json!([{ "indicator": light }])).await;
        site.wait::<Job>(name, |job| has(job, "Completed")).await;
        assert_eq!(bmc.machine.identifies(), light == "on");
    }
    site.add_job(
        "http",
        "m",
        json!([{"report": "capabilities"}, {"report": "log"}]),
    )
    .await;
    site.wait::<Job>("http", |job| has(job, "Completed")).await;
    assert!(bmc.machine.done().is_empty(), "{:?}", bmc.machine.done());

    let ended = json!({"status": {"state": "FAILED"}});
    site.api.merge_status::<Workflow>("open", ended).await;
    site.wait::<Job>("nmi", |job| has(job, "Completed")).await;
    assert_eq!(bmc.machine.done(), [Control::DiagnosticInterrupt]);
    site.add_job(
        "boot",
        "m",
        json!([{"bootDevice": {"device": "http", "efiBoot": true}}]),
    )
    .await;
    let job = site.wait::<Job>("boot", |job| has(job, "Failed")).await;
    let message = condition(&job, "Failed").unwrap()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("cannot do 'boot from http'"), "{message}");
    site.stop().await;
    assert_eq!((bmc.handle.open_sessions(), bmc.handle.most_sessions()), (0, 1));
}
