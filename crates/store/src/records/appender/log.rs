//! The write-ahead log at its full length from the start. A commit that makes the file longer also writes its metadata
//! and waits for that; one that overwrites is a single write, and takes half the time.

use rusqlite::Connection;

/// As many pages as the log has between two checkpoints of SQLite, and some of the last transaction. The transaction does
/// not fit into the cache, so it goes to the log.
const FILL: &str = "
    PRAGMA cache_size = 10;
    BEGIN IMMEDIATE;
    CREATE TABLE filler (content BLOB);
    WITH RECURSIVE pages(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM pages WHERE number < 1100)
        INSERT INTO filler SELECT zeroblob(4000) FROM pages;
";

/// Fills the log by a transaction that is rolled back, so nothing of it counts, and syncs it by one that changes nothing.
pub(super) fn grow(connection: &Connection) -> rusqlite::Result<()> {
    let filled = connection.execute_batch(FILL);
    let undone = if connection.is_autocommit() {
        Ok(())
    } else {
        connection.execute_batch("ROLLBACK")
    };
    // The default.
    connection.pragma_update(None, "cache_size", -2000)?;
    filled.and(undone)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}
