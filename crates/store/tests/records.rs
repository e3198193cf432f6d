//! Records: order, filters, rings, followers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use serde_json::json;
use store::Error;
use store::records::{Keep, NewRecord, Query, Records, Ring};

fn record(kind: &str, machine: &str, at: i64) -> NewRecord {
    NewRecord {
        kind: kind.into(),
        machine: machine.into(),
        ring: Ring::Machine,
        at,
        payload: json!({"at": at}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_newest_first_by_kind_and_machine() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path().join("records.db")).await.unwrap();
    let mut follower = records.follow();
    for at in 0..10 {
        let machine = if at % 2 == 0 { "a" } else { "b" };
        records.append(record("BootEvent", machine, at)).await.unwrap();
    }
    records
        .append_all(vec![record("ActionLog", "a", 10), record("ActionLog", "a", 11)])
        .await
        .unwrap();
    let cases: [(Option<&str>, Option<&str>, &[i64]); 4] = [
        (Some("BootEvent"), Some("a"), &[8, 6, 4]),
        (Some("BootEvent"), None, &[9, 8, 7]),
        (None, Some("a"), &[11, 10, 8]),
        (None, None, &[11, 10, 9]),
    ];
    for (kind, machine, expected) in cases {
        let query = Query {
            kind: kind.map(Into::into),
            machine: machine.map(Into::into),
            limit: 3,
            ..Query::default()
        };
        let found: Vec<i64> = records.list(&query).await.unwrap().iter().map(|r| r.at).collect();
        assert_eq!(found, expected, "{kind:?} {machine:?}");
    }
    let first = follower.recv().await.unwrap();
    assert_eq!((first.id, first.at), (1, 0));
    let page = Query {
        before: Some(3),
        ..Query::default()
    };
    assert_eq!(records.list(&page).await.unwrap().len(), 2);
    assert_eq!(records.get(1).await.unwrap().unwrap(), *first);
}

fn event(machine: &str, ring: Ring) -> NewRecord {
    NewRecord {
        ring,
        ..record("BootEvent", machine, 0)
    }
}

async fn count(records: &Records, machine: Option<&str>) -> usize {
    let query = Query {
        machine: machine.map(Into::into),
        limit: 1_000_000,
        ..Query::default()
    };
    records.list(&query).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_flood_removes_records_of_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let keep = Keep {
        machine: 640,
        strangers: 128,
    };
    let path = dir.path().join("records.db");
    let records = Records::open_with(&path, keep).await.unwrap();
    let quiet = records.append(event("node-1", Ring::Machine)).await.unwrap();
    let mut log = event("node-2", Ring::Machine);
    log.kind = "ActionLog".into();
    let log = records.append(log).await.unwrap();
    for round in 0..40 {
        let mut flood: Vec<NewRecord> = (0..100).map(|_| event("node-2", Ring::Machine)).collect();
        flood.extend(
            (0..100).map(|number| event(&format!("02:00:00:00:{round:02}:{number:02}"), Ring::Strangers)),
        );
        records.append_all(flood).await.unwrap();
        // Bounded at every moment, not only after a pruning: limit and slack, and the batch that is being written.
        let all = count(&records, None).await;
        assert!(all <= 640 + 10 + 128 + 2 + 200 + 2, "{all} after round {round}");
    }
    assert_eq!(*quiet, records.get(quiet.id).await.unwrap().unwrap());
    assert_eq!(
        *log,
        records.get(log.id).await.unwrap().unwrap(),
        "a kind of its own"
    );
    let newest = records.newest().await.unwrap();
    assert!(records.get(newest).await.unwrap().is_some());
    assert!(count(&records, Some("node-2")).await > 640, "the newest stay");
    records.close().await;

    // After a restart a full ring is cut at its first record.
    let records = Records::open_with(&path, Keep { machine: 10, ..keep })
        .await
        .unwrap();
    records.append(event("node-2", Ring::Machine)).await.unwrap();
    let query = Query {
        kind: Some("BootEvent".into()),
        machine: Some("node-2".into()),
        ..Query::default()
    };
    assert_eq!(records.list(&query).await.unwrap().len(), 10);
}

/// Records of the first version of the file: strangers are found by what they are named.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_an_older_file_find_their_ring() {
    use sqlx::{Connection, SqliteConnection};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.db");
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, machine TEXT NOT NULL,
            at INTEGER NOT NULL, payload TEXT NOT NULL) STRICT;
        CREATE INDEX records_of_machine ON records (machine, kind, id);
        PRAGMA user_version = 1;
        INSERT INTO records (kind, machine, at, payload) VALUES ('BootEvent', 'node-1', 0, '{}'),
            ('BootEvent', '02:00:00:00:00:01', 0, '{}'), ('BootEvent', '10.0.0.7', 0, '{}'), ('BootEvent', 'unknown', 0, '{}')",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();

    let keep = Keep {
        strangers: 1,
        ..Keep::default()
    };
    let records = Records::open_with(&path, keep).await.unwrap();
    records
        .append(event("02:00:00:00:00:02", Ring::Strangers))
        .await
        .unwrap();
    let left = records.list(&Query::default()).await.unwrap();
    let left: Vec<&str> = left.iter().map(|record| record.machine.as_str()).collect();
    assert_eq!(left, ["02:00:00:00:00:02", "node-1"]);
}

#[tokio::test]
async fn many_at_once_keep_their_order_and_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path().join("records.db")).await.unwrap();
    let mut follow = records.follow();
    for (round, count) in [(0, 1), (1, 64), (2, 201), (3, 7)] {
        let many = (0..count).map(|at| record("ActionLog", &format!("node-{round}"), at));
        let stored = records.append_all(many.collect()).await.unwrap();
        assert_eq!(stored.len(), usize::try_from(count).unwrap());
        for (at, record) in (0..count).zip(&stored) {
            assert_eq!(record.at, at);
            let read = records.get(record.id).await.unwrap().unwrap();
            assert_eq!(&read, record.as_ref());
            assert_eq!(
                follow.try_recv().unwrap().id,
                record.id,
                "followers hear them in order"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_over_is_durable_at_the_end_and_nothing_is_taken_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.db");
    let records = Records::open(&path).await.unwrap();
    let (sender, result) = std::sync::mpsc::channel();
    records.append_then(vec![record("BootEvent", "node-1", 0)], move |done| {
        sender.send(done).unwrap();
    });
    let later = (1..21).map(|at| record("BootEvent", "node-1", at));
    let (later, ()) = tokio::join!(records.append_later(later), records.close());
    later.unwrap();
    assert_eq!(result.recv().unwrap().unwrap().len(), 1);
    let late = records.append(record("BootEvent", "node-1", 21)).await;
    assert!(matches!(late, Err(Error::Stopped)), "{late:?}");
    let records = Records::open(&path).await.unwrap();
    let all = records.list(&Query::default()).await.unwrap();
    let found: Vec<i64> = all.iter().map(|record| record.at).collect();
    assert_eq!(found, (0..21).rev().collect::<Vec<_>>());
}

/// Whether commits overwrite their log or make it longer makes a factor of two.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_its_length_from_the_start_and_nothing_of_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.db");
    let log = |path: &std::path::Path| path.with_extension("db-wal");
    let length = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
    let records = Records::open(&path).await.unwrap();
    records.append(record("BootEvent", "node-1", 0)).await.unwrap();
    let first = length(&log(&path));
    assert!(first >= 1000 * 4096, "{first}");
    for at in 1..1000 {
        records.append(record("BootEvent", "node-1", at)).await.unwrap();
    }
    assert_eq!(length(&log(&path)), first, "it is overwritten");
    assert!(length(&path) < 1 << 20, "the filling is not in the file");

    // As a crash leaves them.
    let crashed = dir.path().join("crashed.db");
    std::fs::copy(&path, &crashed).unwrap();
    std::fs::copy(log(&path), log(&crashed)).unwrap();
    let crashed = Records::open(&crashed).await.unwrap();
    crashed.file().check().await.unwrap();
    assert_eq!(count(&crashed, None).await, 1000);
}
