//! Programs that are missing, fail or hang.

use std::time::Duration;

use etcd_drill::{Drills, Error, Expected, Settings};
use resources::anywhere::EtcdDrillStage;
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{Site, lives, sent, until};

/// etcdutl that makes a data directory of anything.
const RESTORES: &str = r#"
case "$1 $2" in
"snapshot restore") mkdir -p "$5/member" ;;
"snapshot status") echo '{"hash":1,"revision":7,"totalKey":2,"totalSize":9,"version":"3.6.0"}' ;;
esac
"#;

#[tokio::test]
async fn what_an_appliance_lacks_is_named() {
    let site = Site::new();
    let none = site.drills().begin(10).await.unwrap_err();
    assert!(matches!(none, Error::NoPrograms { .. }), "{none}");
    assert!(none.to_string().contains("gantry image build etcd"), "{none}");
    let drills = Drills::new(Settings {
        programs: None,
        folder: site.path("room"),
        limit: site.limit,
    });
    let none = drills.begin(10).await.unwrap_err();
    assert!(none.to_string().contains("setting parts"), "{none}");

    site.play("etcd", "");
    site.play("etcdutl", "");
    let large = site.drills().begin(u64::MAX / 4).await.unwrap_err();
    assert!(matches!(large, Error::NoRoom { .. }), "{large}");
    let first = site.drills().begin(10).await.unwrap();
    let second = site.drills().begin(10).await.unwrap_err();
    assert!(matches!(second, Error::Busy { .. }), "{second}");
    for error in [none, large, second] {
        assert!(!error.is_of_snapshot(), "{error}");
    }
    drop(first);
    assert_eq!(site.leftovers().len(), 0);

    let drills = Drills::new(Settings {
        programs: Some(site.path("bin")),
        folder: site.path("bin/etcd"),
        limit: site.limit,
    });
    let file = drills.begin(10).await.unwrap_err();
    assert!(file.to_string().contains("etcdDrillFolder"), "{file}");
}

#[tokio::test]
async fn a_program_that_fails_says_why() {
    let site = Site::new();
    site.play("etcdutl", "echo 'Error: invalid database' >&2; exit 1");
    site.play(
        "etcd",
        r#"echo '{"level":"fatal","msg":"cannot listen","error":"in use"}' >&2; exit 1"#,
    );
    let data = sent(b"data of etcd");
    let (stage, text, is_of_snapshot) = site.refused(&data, &Expected::default()).await;
    assert_eq!((stage, is_of_snapshot), (EtcdDrillStage::Restoring, true));
    assert!(
        text.contains("etcdutl can't read the snapshot: invalid database"),
        "{text}"
    );
    assert!(text.contains("gantry snapshot cluster"), "{text}");

    let no_restore = RESTORES.replace(
        "mkdir -p \"$5/member\"",
        "echo 'Error: no space left' >&2; exit 1",
    );
    site.play("etcdutl", &no_restore);
    let (stage, text, is_of_snapshot) = site.refused(&data, &Expected::default()).await;
    assert_eq!((stage, is_of_snapshot), (EtcdDrillStage::Restoring, true));
    assert!(
        text.contains("etcdutl can't restore the snapshot: no space left"),
        "{text}"
    );

    let (stage, text, _) = site.refused(b"data without a hash", &Expected::default()).await;
    assert_eq!(stage, EtcdDrillStage::Restoring);
    assert!(text.contains("its SHA-256 is not the one at its end"), "{text}");

    site.play("etcdutl", RESTORES);
    let (stage, text, is_of_snapshot) = site.refused(&data, &Expected::default()).await;
    assert_eq!((stage, is_of_snapshot), (EtcdDrillStage::Starting, true));
    assert!(text.contains("does not start: cannot listen: in use"), "{text}");

    site.play("etcdutl", &RESTORES.replace("{\"hash\"", "{\"size\""));
    let (_, text, _) = site.refused(&data, &Expected::default()).await;
    assert!(!text.contains("no JSON"), "a field that nobody needs: {text}");
    site.play("etcdutl", &RESTORES.replace("revision", "revisions"));
    let (_, text, _) = site.refused(&data, &Expected::default()).await;
    assert!(text.contains("no JSON that is known"), "{text}");
}

#[tokio::test]
async fn an_etcd_that_does_not_answer_ends_with_the_limit() {
    let mut site = Site::new();
    site.limit = Duration::from_secs(2);
    site.play("etcdutl", RESTORES);
    let id = site.path("id");
    // Its child must go as well.
    let hangs = format!("sleep 1000 & echo $! > {}; wait", id.display());
    site.play("etcd", &hangs);
    let (stage, text, is_of_snapshot) = site.refused(&sent(b"x"), &Expected::default()).await;
    assert_eq!((stage, is_of_snapshot), (EtcdDrillStage::Starting, false));
    assert!(
        text.contains("not done within 1 minutes, while starting"),
        "{text}"
    );
    let id = std::fs::read_to_string(id).unwrap();
    until("ended", || !lives(&id)).await;
}

/// Memory that a program may not have. The data segment of a shell grows with its variables.
#[tokio::test]
async fn a_program_has_a_limit_of_memory() {
    let site = Site::new();
    site.play("etcd", "");
    site.play(
        "etcdutl",
        "limit=$(ulimit -d); [ \"$limit\" = $((512 * 1024)) ] || { echo \"Error: $limit\" >&2; exit 1; }\n\
         [ \"$(ulimit -c)\" = 0 ] && [ -n \"$GOMEMLIMIT\" ] && [ -z \"$HOME\" ] || { echo Error: environment >&2; exit 1; }\n\
         echo Error: as it should be >&2; exit 1",
    );
    let (_, text, _) = site.refused(&sent(b"x"), &Expected::default()).await;
    assert!(text.contains("as it should be"), "{text}");
}

#[tokio::test]
async fn a_drill_that_is_dropped_leaves_nothing() {
    let site = Site::new();
    site.play("etcdutl", RESTORES);
    let id = site.path("id");
    site.play("etcd", &format!("echo $$ > {}; exec sleep 1000", id.display()));
    let mut drill = site.drills().begin(10).await.unwrap();
    drill.snapshot().write_all(&sent(b"x")).await.unwrap();
    let expected = Expected::default();
    let under_way = tokio::spawn(async move { drill.rehearse(&expected, &|_| ()).await });
    until("started", || {
        std::fs::read_to_string(&id).is_ok_and(|id| id.ends_with('\n'))
    })
    .await;
    let id = std::fs::read_to_string(id).unwrap();
    assert!(lives(&id));
    assert_eq!(site.leftovers().len(), 1);
    under_way.abort();
    assert!(under_way.await.unwrap_err().is_cancelled());
    assert_eq!(site.leftovers().len(), 0);
    until("ended", || !lives(&id)).await;
}
