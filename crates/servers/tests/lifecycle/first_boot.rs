//! What an installed system says of its first boot, and whom the appliance believes.

use axum::response::Response;
use resources::Digest;
use resources::gantry::{FirstBoot, FirstBootFailure};

use super::*;

async fn post(site: &Site, path: &str, identity: Option<&Identity>, body: String) -> Response {
    let mut request = HttpRequest::post(path).body(Body::from(body)).unwrap();
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity.clone());
    }
    site.first_boot.clone().oneshot(request).await.unwrap()
}

/// Status of the answer to a report.
async fn says(site: &Site, path: &str, identity: &Identity, body: serde_json::Value) -> StatusCode {
    post(site, path, Some(identity), body.to_string()).await.status()
}

fn first_boot_of(server: &Server) -> Option<&FirstBoot> {
    server.status.as_ref()?.first_boot.as_ref()
}

fn failure_of(server: &Server) -> Option<&FirstBootFailure> {
    first_boot_of(server)?.failure.as_ref()
}

const STAGE: &str = "/v1/first-boot/stage";
const FAILED: &str = "/v1/first-boot/failed";

/// A machine whose system is installed and has asked for its data.
async fn installed() -> (Site, Identity, Identity) {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    let owner = json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE,
        "bootstrapSecret": "prod-1-data"});
    site.merge_server("node-1", json!({"spec": {"claim": owner}}))
        .await;
    let (agent, system) = installs(&site).await;
    leaves(&site).await;
    site.secret("prod-1-data", "join me").await;
    let data = post(&site, "/v1/first-boot", Some(&system), String::new()).await;
    assert_eq!(data.status(), StatusCode::OK);
    site.server("node-1", |server| state(server) == Some(ServerState::Running))
        .await;
    (site, agent, system)
}

fn report() -> serde_json::Value {
    json!({"stage": "kubeadm-join", "exitStatus": 1, "lines": [
        "[preflight] Running pre-flight checks", "using token abcdef.0123456789abcdef",
        "\u{1b}[31merror\u{1b}[0m: couldn't validate the identity of the API Server",
    ]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_boot_tells_its_stages_and_its_failure() {
    let (site, _, system) = installed().await;
    for stage in ["write-files", "containerd", "containerd"] {
        let answer = says(&site, STAGE, &system, json!({"stage": stage})).await;
        assert_eq!(answer, StatusCode::NO_CONTENT);
    }
    let at_work = site
        .server("node-1", |server| {
            first_boot_of(server).is_some_and(|first| first.stage.is_some())
        })
        .await;
    let stage = first_boot_of(&at_work).unwrap().stage.clone().unwrap();
    assert_eq!(stage.name, "containerd");

    assert_eq!(
        says(&site, FAILED, &system, report()).await,
        StatusCode::NO_CONTENT
    );
    let is_told = |server: &Server| {
        let reason = server.status.as_ref().and_then(|status| status.reason.as_deref());
        reason.is_some_and(|reason| reason.starts_with("first boot failed at kubeadm-join (exit status 1): "))
    };
    let failed = site.server("node-1", is_told).await;
    assert_eq!(
        state(&failed),
        Some(ServerState::Running),
        "its power is not touched"
    );
    let failure = failure_of(&failed).unwrap().clone();
    assert_eq!(
        failure.lines,
        [
            "[preflight] Running pre-flight checks",
            "using token [removed]",
            "\\u{1b}[31merror\\u{1b}[0m: couldn't validate the identity of the API Server",
        ]
    );
    let text = site.event("node-1", "FirstBootFailed").await;
    assert!(
        text.contains("couldn't validate the identity") && !text.contains("abcdef."),
        "{text}"
    );
    assert_eq!(site.secret_value("prod-1-data").await, None, "the value is gone");

    // The answer may have been lost; and nothing that is said later makes it another failure.
    let other = json!({"stage": "containerd", "lines": ["other"]});
    for again in [report(), other] {
        assert_eq!(says(&site, FAILED, &system, again).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(
        says(&site, STAGE, &system, json!({"stage": "x"})).await,
        StatusCode::NO_CONTENT
    );
    for path in ["/v1/first-boot", "/v1/first-boot/done"] {
        let answer = post(&site, path, Some(&system), String::new()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let live = site.server("node-1", |_| true).await;
    assert_eq!(failure_of(&live), Some(&failure));
    assert_eq!(first_boot_of(&live).unwrap().stage, Some(stage));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_reports_for_a_machine() {
    let (site, agent, system) = installed().await;
    let Identity::FirstBoot {
        machine_id,
        attempt,
        serial,
        public_key,
        ..
    } = system.clone()
    else {
        panic!("{system:?}")
    };
    let identity = |machine: &str, attempt, key| Identity::FirstBoot {
        site: site::SITE.to_owned(),
        machine_id: machine.to_owned(),
        attempt,
        serial: serial.clone(),
        public_key: key,
    };
    let before = site.server("node-1", |_| true).await;
    for path in [STAGE, FAILED] {
        let nobody = post(&site, path, None, report().to_string()).await;
        assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            says(&site, path, &agent, report()).await,
            StatusCode::UNAUTHORIZED
        );
        for (who, thief) in [
            ("another machine", identity("m-2", attempt, public_key)),
            (
                "an earlier attempt",
                identity(&machine_id, attempt - 1, public_key),
            ),
            ("a later attempt", identity(&machine_id, attempt + 1, public_key)),
            (
                "another key",
                identity(&machine_id, attempt, Digest::new([7; 32])),
            ),
        ] {
            assert_eq!(
                says(&site, path, &thief, report()).await,
                StatusCode::FORBIDDEN,
                "{who}"
            );
        }
        for (body, status) in [
            ("{".to_owned(), StatusCode::BAD_REQUEST),
            (json!({"stage": "no name"}).to_string(), StatusCode::BAD_REQUEST),
            (
                json!({"stage": "a", "lines": ["x".repeat(70_000)]}).to_string(),
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
        ] {
            assert_eq!(
                post(&site, path, Some(&system), body).await.status(),
                status,
                "{path}"
            );
        }
    }
    // A newer attempt is wanted.
    site.workflow("install-2", "node-1", "PENDING").await;
    let newer = json!({"spec": {"attempt": {"number": attempt + 1, "workflow": "install-2", "closed": false, "handover": false}}});
    site.merge_server("node-1", newer).await;
    for path in [STAGE, FAILED] {
        assert_eq!(
            says(&site, path, &system, report()).await,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
    let after = site.server("node-1", |_| true).await;
    assert_eq!(first_boot_of(&after), first_boot_of(&before));
    let events = site.events("node-1").await;
    assert!(
        events.iter().all(|(reason, _)| reason != "FirstBootFailed"),
        "{events:?}"
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_boot_that_is_done_has_not_failed() {
    let (site, _, system) = installed().await;
    let done = post(&site, "/v1/first-boot/done", Some(&system), String::new()).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    for path in [STAGE, FAILED] {
        assert_eq!(
            says(&site, path, &system, report()).await,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
    let live = site.server("node-1", |_| true).await;
    assert_eq!(
        (failure_of(&live), first_boot_of(&live).unwrap().stage.as_ref()),
        (None, None)
    );
    site.end().await;
}

/// Status and content of the answer for a file.
async fn fetch(site: &Site, identity: Option<&Identity>, sha256: &str) -> (StatusCode, Result<Vec<u8>, ()>) {
    let path = format!("/v1/first-boot/file/{sha256}");
    let answer = post(site, &path, identity, String::new()).await;
    let (status, length) = (answer.status(), answer.headers().get("content-length").cloned());
    let content = axum::body::to_bytes(answer.into_body(), 64 << 20).await;
    if let (StatusCode::OK, Ok(content)) = (status, &content) {
        assert_eq!(length.unwrap().to_str().unwrap(), content.len().to_string());
    }
    (status, content.map(Vec::from).map_err(drop))
}

async fn store(site: &Site, name: &str, content: &[u8]) -> String {
    use tokio::io::AsyncWriteExt as _;
    let mut file = site.files.create(name).await.unwrap();
    file.write_all(content).await.unwrap();
    file.finish().await.unwrap().sha256.hex()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_boot_gets_the_file_that_its_secret_names_and_no_other() {
    let (site, agent, system) = installed().await;
    let content = [b"canary".as_slice(), &[7; 3 << 20]].concat();
    let file = store(&site, "eksa-system/demo", &content).await;
    let other = store(&site, "eksa-system/other", b"of another cluster").await;
    let nothing = StatusCode::NOT_FOUND;
    assert_eq!(
        fetch(&site, Some(&system), &file).await.0,
        nothing,
        "nothing is named"
    );

    site.name_file("prod-1-data", &format!("eksa-system/demo/{file}"))
        .await;
    let before = site.server("node-1", |_| true).await;
    for _ in 0..2 {
        let (status, read) = fetch(&site, Some(&system), &file).await;
        assert!(
            status == StatusCode::OK && read == Ok(content.clone()),
            "{status}"
        );
    }
    let upper = file.to_uppercase();
    for wrong in [&other, "0", "..%2F..%2Fstate.db", &upper] {
        assert_eq!(fetch(&site, Some(&system), wrong).await.0, nothing, "{wrong}");
    }
    assert_eq!(fetch(&site, None, &file).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(
        fetch(&site, Some(&agent), &file).await.0,
        StatusCode::UNAUTHORIZED
    );
    let after = site.server("node-1", |_| true).await;
    assert_eq!(first_boot_of(&after), first_boot_of(&before));

    // What is named must be there, below its own name, and as it was written.
    site.name_file("prod-1-data", &format!("eksa-system/demo/{other}"))
        .await;
    assert_eq!(fetch(&site, Some(&system), &other).await.0, nothing);
    site.name_file("prod-1-data", &format!("../sealed-files/eksa-system/demo/{file}"))
        .await;
    assert_eq!(
        fetch(&site, Some(&system), &file).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    for named in ["", "no digest", &file] {
        site.name_file("prod-1-data", named).await;
        assert_eq!(fetch(&site, Some(&system), &file).await.0, nothing, "{named}");
    }
    site.name_file("prod-1-data", &format!("eksa-system/demo/{file}"))
        .await;
    site.damage_file(&format!("eksa-system/demo/{file}"));
    let (status, read) = fetch(&site, Some(&system), &file).await;
    assert_eq!(
        (status, read),
        (StatusCode::OK, Err(())),
        "the body ends with an error"
    );

    assert_eq!(
        says(&site, "/v1/first-boot/done", &system, json!({})).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(fetch(&site, Some(&system), &file).await.0, StatusCode::FORBIDDEN);
    site.end().await;
}
