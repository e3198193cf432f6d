//! A process that is killed in the middle of a drill: this test's program as a child.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use etcd_drill::Expected;
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{Site, drills_in, lives, sent, until};

const FOLDER: &str = "GANTRY_TEST_DRILL_FOLDER";

/// Only as a child of the test below: drills until it is killed.
#[tokio::test]
#[ignore = "started by a_killed_drill_ends_its_programs_and_the_next_one_cleans"]
async fn child_that_is_killed() {
    let folder = std::env::var(FOLDER).expect("set by the test that starts this one");
    let mut drill = drills_in(Path::new(&folder), Duration::from_secs(1000))
        .begin(10)
        .await
        .unwrap();
    drill.snapshot().write_all(&sent(b"x")).await.unwrap();
    let result = drill.rehearse(&Expected::default(), &|_| ()).await;
    panic!("it was not killed: {result:?}");
}

#[tokio::test]
async fn a_killed_drill_ends_its_programs_and_the_next_one_cleans() {
    let site = Site::new();
    site.play(
        "etcdutl",
        "[ \"$2\" != restore ] || mkdir -p \"$5/member\"; echo '{\"revision\":7,\"totalKey\":2}'",
    );
    let id = site.path("id");
    site.play("etcd", &format!("echo $$ > {}; exec sleep 1000", id.display()));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "killed::child_that_is_killed"])
        .env(FOLDER, site.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("started", || {
        std::fs::read_to_string(&id).is_ok_and(|id| id.ends_with('\n'))
    })
    .await;
    let id = std::fs::read_to_string(id).unwrap();
    assert!(lives(&id));
    child.kill().unwrap();
    child.wait().unwrap();
    until("ended with its caller", || !lives(&id)).await;
    assert_eq!(site.leftovers().len(), 1, "nobody was there to remove it");
    site.drills().remove_leftovers().unwrap();
    assert_eq!(site.leftovers().len(), 0);
}
