//! The command log: one JSON object a line for every request to a BMC, for observers that trust nobody else.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// RFC 3339, UTC.
    pub time: String,
    pub machine: String,
    /// Address and port of the client.
    pub peer: String,
    /// Who was logged in; absent: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub method: String,
    pub path: String,
    /// The request's JSON; absent for logins, whose content is a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// HTTP status of the answer.
    pub status: u16,
    /// What it did to the machine; absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// An append-only file; a line is written whole before the answer leaves.
#[derive(Debug)]
pub(crate) struct CommandLog {
    file: Mutex<File>,
}

impl CommandLog {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(path);
        Ok(Self {
            file: Mutex::new(file.map_err(Error::file("opening", path))?),
        })
    }

    pub(crate) fn write(&self, record: &CommandRecord) {
        let written = serde_json::to_string(record)
            .map_err(std::io::Error::other)
            .and_then(|line| {
                self.file
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .write_all(format!("{line}\n").as_bytes())
            });
        if let Err(error) = written {
            tracing::error!(machine = %record.machine, error = %error, "command log not written");
        }
    }
}
