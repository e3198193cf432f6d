//! Writes against the embedded API: who wins, who loses, and what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use compare_and_set::{Change, Error, Outcome, Writer};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use resources::gantry::{Server, ServerState, ServerStatus};
use serde_json::json;
use sim::Site;

const WRITER: Writer = Writer::new("first");
const OTHER: Writer = Writer::new("second");

async fn site() -> (Api<Server>, Server, Site) {
    let site = Site::start("default").await;
    let server = json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-1"},
        "spec": {"machineId": "m-1", "hardware": "node-1"}
    });
    let server = site.make(server).await;
    (site.api(), server, site)
}

fn available() -> ServerStatus {
    ServerStatus {
        state: ServerState::Available,
        reason: Some("nobody has claimed it".into()),
        ..ServerStatus::default()
    }
}

#[tokio::test]
async fn the_second_writer_of_what_was_read_loses() {
    let (api, read, site) = site().await;
    let path = ["spec", "attempt"];
    let attempt = |workflow: &str| json!({"number": 1, "workflow": workflow});
    let first = WRITER.set(&api, &read, &path, &attempt("a")).await.unwrap();
    assert!(matches!(first, Outcome::Written(_)), "{first:?}");
    let second = OTHER.set(&api, &read, &path, &attempt("b")).await.unwrap();
    assert!(matches!(second, Outcome::Lost), "{second:?}");
    let everything: Api<Server> = Api::namespaced(site.admin_client(), "default");
    let now = everything.get("node-1").await.unwrap();
    assert_eq!(now.spec.attempt.as_ref().unwrap().workflow, "a");
    let managers = now.managed_fields().iter().map(|entry| entry.manager.as_deref());
    assert!(managers.clone().any(|manager| manager == Some("first")));
    assert!(!managers.clone().any(|manager| manager == Some("second")));
    let third = OTHER
        .change(&api, &now, vec![Change::remove(&path)])
        .await
        .unwrap();
    assert!(matches!(third, Outcome::Written(server) if server.spec.attempt.is_none()));
}

#[tokio::test]
async fn of_many_at_once_one_wins() {
    let (api, read, _site) = site().await;
    let tries = (0..8_u64).map(|number| {
        let (api, read) = (api.clone(), read.clone());
        tokio::spawn(async move {
            let attempt = json!({"number": number, "workflow": "w"});
            WRITER
                .set(&api, &read, &["spec", "attempt"], &attempt)
                .await
                .unwrap()
        })
    });
    let mut won = 0;
    for task in tries.collect::<Vec<_>>() {
        won += usize::from(matches!(task.await.unwrap(), Outcome::Written(_)));
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_status_is_written_once() {
    let (api, read, _site) = site().await;
    let Outcome::Written(written) = WRITER.status(&api, &read, &available()).await.unwrap() else {
        panic!("not written")
    };
    assert_eq!(written.status.as_ref(), Some(&available()));
    let again = WRITER.status(&api, &written, &available()).await.unwrap();
    assert!(matches!(again, Outcome::Unchanged), "{again:?}");
    let shorter = ServerStatus {
        reason: None,
        ..available()
    };
    let Outcome::Written(written) = WRITER.status(&api, &written, &shorter).await.unwrap() else {
        panic!("not written")
    };
    assert_eq!(written.status, Some(shorter));
}

#[tokio::test]
async fn a_finalizer_comes_and_goes() {
    let (api, read, _site) = site().await;
    let name = "gantry.dev/held";
    let Outcome::Written(held) = WRITER.finalizer(&api, &read, name, true).await.unwrap() else {
        panic!("not written")
    };
    assert_eq!(held.finalizers(), [name]);
    let Outcome::Written(free) = WRITER.finalizer(&api, &held, name, false).await.unwrap() else {
        panic!("not written")
    };
    assert!(free.finalizers().is_empty());
}

#[tokio::test]
async fn an_object_that_is_gone_is_a_lost_race() {
    let (api, read, _site) = site().await;
    api.delete("node-1", &DeleteParams::default()).await.unwrap();
    let outcome = WRITER.status(&api, &read, &available()).await.unwrap();
    assert!(matches!(outcome, Outcome::Lost), "{outcome:?}");
}

#[tokio::test]
async fn an_invalid_object_is_an_error_and_no_lost_race() {
    let (api, read, _site) = site().await;
    let refused = WRITER.set(&api, &read, &["spec", "machineId"], &7).await;
    let error = refused.expect_err("a number is no machineId");
    assert!(matches!(error, Error::Write { .. }), "{error:?}");
    assert_eq!(error.to_string(), "cannot write Server default/node-1");
    assert_eq!(
        Error::busy(&read).to_string(),
        "Server default/node-1 is being changed by others all the time; try again"
    );
}
