//! The engine on real files: batches, rollbacks, backup, migrations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::join_all;
use store::{Database, Error, Migrations, Options, SqliteConnection};

const SCHEMA: Migrations = Migrations(&["CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT"]);

async fn open(dir: &tempfile::TempDir) -> Database {
    Database::open(dir.path().join("t.db"), Options::new(SCHEMA))
        .await
        .unwrap()
}

async fn put(c: &mut SqliteConnection, key: String, value: i64) -> Result<i64, Error> {
    sqlx::query("INSERT INTO t VALUES (?, ?)")
        .bind(key)
        .bind(value)
        .execute(c)
        .await?;
    Ok(value)
}

async fn put_and_panic(c: &mut SqliteConnection) -> Result<(), Error> {
    put(c, "lost".into(), 1).await?;
    panic!("on purpose");
}

async fn put_and_count(c: &mut SqliteConnection, i: i64) -> Result<i64, Error> {
    put(c, format!("{i}"), i).await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(c).await?)
}

async fn insert(database: &Database, key: String, value: i64) -> Result<i64, Error> {
    database.writer().write(move |c| put(c, key, value).boxed()).await
}

async fn count(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM t")
        .fetch_one(database.readers())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_command_does_not_fail_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(&dir).await;
    let writes = (0..200).map(|i| insert(&database, format!("k{}", i % 100), i));
    let results = join_all(writes).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 100);
    assert_eq!(count(&database).await, 100);
    database.file().check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_command_is_rolled_back_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(&dir).await;
    let lost = database.writer().write(|c| put_and_panic(c).boxed());
    let (panicked, kept) = tokio::join!(lost, insert(&database, "kept".into(), 1));
    assert!(matches!(panicked, Err(Error::Panicked)));
    kept.unwrap();
    assert_eq!(count(&database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn publication_precedes_the_answer_and_keeps_order() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(&dir).await;
    let published = Arc::new(AtomicUsize::new(0));
    let writes = (0..100).map(|i| {
        let (database, seen, after) = (database.clone(), published.clone(), published.clone());
        async move {
            let publish = move |n: &i64| {
                let before = seen.fetch_add(1, Ordering::SeqCst);
                assert_eq!(before as i64 + 1, *n, "published out of order");
            };
            let n = database
                .writer()
                .write_then(move |c| put_and_count(c, i).boxed(), publish)
                .await
                .unwrap();
            assert!(after.load(Ordering::SeqCst) as i64 >= n);
        }
    });
    join_all(writes).await;
    assert_eq!(published.load(Ordering::SeqCst), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(&dir).await;
    let refused = sqlx::query("INSERT INTO t VALUES ('x', 1)")
        .execute(database.readers())
        .await;
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_is_whole_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let database = open(&dir).await;
    insert(&database, "a".into(), 1).await.unwrap();
    let target = dir.path().join("copy.db");
    database.file().backup(&target).await.unwrap();
    database.file().backup(&target).await.unwrap();
    insert(&database, "b".into(), 2).await.unwrap();
    assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let copy = Database::open(target, Options::new(SCHEMA)).await.unwrap();
    assert_eq!(count(&copy).await, 1);
    copy.file().check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_forward_only() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(&dir).await;
    insert(&database, "a".into(), 1).await.unwrap();
    database.close().await;
    assert!(matches!(
        insert(&database, "b".into(), 1).await,
        Err(Error::Stopped)
    ));
    const TWO: Migrations = Migrations(&[
        "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT",
        "ALTER TABLE t ADD COLUMN w INTEGER",
    ]);
    let newer = Database::open(dir.path().join("t.db"), Options::new(TWO))
        .await
        .unwrap();
    assert_eq!(count(&newer).await, 1);
    newer.close().await;
    let error = Database::open(dir.path().join("t.db"), Options::new(SCHEMA))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::TooNew {
            found: 2,
            known: 1,
            ..
        }
    ));
}

fn panics(_: &i64) {
    panic!("on purpose");
}

/// Run by the test below in a process of its own, which this ends.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test below in a process of its own"]
async fn publishing_panics() {
    let dir = std::env::var("ENGINE_DIR").unwrap();
    let database = Database::open(std::path::Path::new(&dir).join("t.db"), Options::new(SCHEMA))
        .await
        .unwrap();
    let done = database
        .writer()
        .write_then(move |c| put(c, "committed".into(), 1).boxed(), panics)
        .await;
    panic!("the process went on: {done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_publishing_ends_the_process_and_loses_nothing() {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().unwrap();
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "publishing_panics", "--ignored"])
        .env("ENGINE_DIR", dir.path())
        .output()
        .unwrap();
    assert_eq!(ended.status.signal(), Some(6), "{ended:?}");
    let database = open(&dir).await;
    assert_eq!(count(&database).await, 1);
}
