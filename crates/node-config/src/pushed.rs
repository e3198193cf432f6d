//! User data of a machine whose driver hands it over: everything that makes the machine a node, because it can ask nobody for
//! it. It holds secrets, and whoever may read the machine at its provider may read them.

use resources::Secret;
use resources::anywhere::User;
use serde_json::{Value, json};

use crate::bootstrap::BootstrapDocument;
use crate::cloud_init::{cloud_config, public};
use crate::error::Error;

/// Among cloud-init's scripts for every boot, so that a reset in the middle is followed up.
const STARTER: &str = "/var/lib/cloud/scripts/per-boot/50-gantry-bootstrap";
const STARTER_SCRIPT: &str = include_str!("pushed/starter.sh");
/// What stands for the command in it.
const COMMAND: &str = "@COMMAND@";

/// cloud-init's user data that writes the files of a document and runs its command.
///
/// # Errors
/// When it cannot be printed, or the document has files that only the appliance has.
pub fn pushed_user_data(
    document: &BootstrapDocument,
    hostname: &str,
    users: &[User],
) -> Result<Secret<String>, Error> {
    if let Some(download) = document.downloads.first() {
        return Err(Error::Download {
            path: download.path.clone(),
        });
    }
    let written = document
        .files
        .iter()
        .map(|file| entry(&file.path, file.mode, "b64", &file.content_base64));
    let starter = STARTER_SCRIPT.replace(COMMAND, &quoted(&document.command));
    let starter = entry(STARTER, 0o700, "text/plain", &starter);
    let mut data = public(hostname, users);
    data["write_files"] = written.chain([starter]).collect();
    cloud_config(&data).map(Secret::new)
}

fn entry(path: &str, mode: u32, encoding: &str, content: &str) -> Value {
    json!({
        "path": path,
        "owner": "root:root",
        "permissions": format!("{mode:04o}"),
        "encoding": encoding,
        "content": content,
    })
}

/// Program and arguments as a shell reads them.
fn quoted(command: &[String]) -> String {
    let words = command
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    words.collect::<Vec<_>>().join(" ")
}
