//! The routes by address.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use boot_script::{BootTarget, BootView, EventSender, MachineFacts, ViewHandle};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use metadata::{Config, Deps, router};
use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip};
use tower::ServiceExt;

fn view() -> Arc<ViewHandle> {
    let dhcp = Dhcp {
        mac: Some("52:54:00:00:00:01".parse().unwrap()),
        ip: Some(Ip {
            address: Some("10.0.0.5".into()),
            ..Ip::default()
        }),
        ..Dhcp::default()
    };
    let interface = HardwareInterface {
        dhcp: Some(dhcp),
        ..HardwareInterface::default()
    };
    let hardware = HardwareSpec {
        interfaces: vec![interface],
        user_data: Some("fake-canary".into()),
        ..HardwareSpec::default()
    };
    let handle = ViewHandle::new();
    handle.store(BootView::new(BootTarget::all_of(MachineFacts::new(
        "eksa-system",
        "node-1",
        hardware,
        None,
    ))));
    handle
}

async fn get(router: &Router, peer: &str, path: &str) -> (StatusCode, String) {
    let peer: SocketAddr = peer.parse().unwrap();
    let router = router.clone().layer(Extension(ConnectInfo(peer)));
    let response = router
        .oneshot(Request::get(path).body(Body::empty()).unwrap())
        .await
        .unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn by_address_only_public_fields() {
    let (events, mut received) = EventSender::channel(10);
    let router_with = |serve_user_data_by_address| {
        router(
            Config {
                serve_user_data_by_address,
            },
            Deps {
                view: view(),
                events: events.clone(),
            },
        )
    };
    let closed = router_with(false);
    let ours = "10.0.0.5:4000";
    assert_eq!(
        get(&closed, ours, "/latest/meta-data/instance-id").await,
        (StatusCode::OK, "node-1".into())
    );
    assert_eq!(received.recv().await.unwrap().machine, "node-1");
    assert_eq!(
        get(&closed, "[::ffff:10.0.0.5]:1", "/2009-04-04/").await,
        (StatusCode::OK, "meta-data/".into())
    );
    let (status, text) = get(&closed, ours, "/2009-04-04/user-data").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        text.contains("serveUserDataByAddress") && !text.contains("canary"),
        "{text}"
    );
    let refused = received.recv().await.unwrap().event.text;
    assert!(refused.contains("not served by address alone"), "{refused}");
    let stranger = get(&closed, "10.0.0.6:1", "/latest/meta-data/instance-id").await;
    assert_eq!(stranger.0, StatusCode::NOT_FOUND);
    let refused = received.recv().await.unwrap();
    assert_eq!(refused.machine, "10.0.0.6");
    assert!(
        refused.event.text.contains("no Hardware"),
        "{}",
        refused.event.text
    );
    assert_eq!(
        get(&closed, ours, "/latest/api/token").await.0,
        StatusCode::NOT_FOUND
    );
    let open = router_with(true);
    assert_eq!(
        get(&open, ours, "/latest/user-data").await,
        (StatusCode::OK, "fake-canary".into())
    );
}

/// What cloud-init of an installed system gets when its settings name this service as an Ec2 source.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cloud-init: apt-get install cloud-init"]
async fn real_cloud_init_takes_it_for_an_ec2_source() {
    let (events, _received) = EventSender::channel(100);
    let view = view();
    let peer: SocketAddr = "10.0.0.5:4000".parse().unwrap();
    let service = router(Config::default(), Deps { view, events }).layer(Extension(ConnectInfo(peer)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, service).await });
    let program = "import json, sys; from cloudinit.sources.helpers import ec2
version, url = '2009-04-04', sys.argv[1]
print(json.dumps([ec2.get_instance_metadata(version, url), len(ec2.get_instance_userdata(version, url))]))";
    let mut python = tokio::process::Command::new("python3");
    let output = python.args(["-c", program, &url]).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let public = serde_json::json!({ "instance-id": "node-1", "local-ipv4": "10.0.0.5" });
    assert_eq!(found, serde_json::json!([public, 0]));
}
