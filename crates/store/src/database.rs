//! One open database: its file and its writer.

use std::path::PathBuf;

use sqlx::sqlite::SqlitePool;

use crate::writer::{Writer, WriterTask};
use crate::{DatabaseFile, Error, Migrations};

/// How to open a database.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Schema of the file.
    pub migrations: Migrations,
    /// Read-only connections at most.
    pub readers: u32,
    /// Commands in one commit at most.
    pub batch: usize,
}

impl Options {
    /// Options with the defaults for a schema.
    pub fn new(migrations: Migrations) -> Options {
        Options {
            migrations,
            readers: 4,
            batch: 512,
        }
    }
}

/// A database with one writer and a pool of readers. Cheap to clone; the writer ends with the last clone.
#[derive(Debug, Clone)]
pub struct Database {
    file: DatabaseFile,
    writer: Writer,
}

impl Database {
    /// Opens or makes the file (mode 0600), migrates it and starts its writer on the current runtime.
    pub async fn open(path: impl Into<PathBuf>, options: Options) -> Result<Database, Error> {
        let Options {
            migrations,
            readers,
            batch,
        } = options;
        let (file, connection) = DatabaseFile::open(path.into(), migrations, readers).await?;
        let writer = WriterTask::spawn(connection, batch);
        Ok(Database { file, writer })
    }

    /// The file, to be checked and copied.
    pub fn file(&self) -> &DatabaseFile {
        &self.file
    }

    /// The writer: every change goes through it.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Read-only connections, for queries outside the writer.
    pub fn readers(&self) -> &SqlitePool {
        self.file.readers()
    }

    /// Ends the writer after everything already handed to it, and closes all connections.
    pub async fn close(&self) {
        self.writer.stop().await;
        self.readers().close().await;
    }
}
