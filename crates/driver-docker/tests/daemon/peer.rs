//! What the conformance suite does at the daemon behind the driver's back.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Arc;

use driver::conformance::{Hook, PeerHooks};
use serde_json::json;

use super::dockerd::{Dockerd, IMAGE};

/// Hooks of a daemon.
pub(crate) struct DockerHooks(pub(crate) Arc<Dockerd>);

#[tonic::async_trait]
impl PeerHooks for DockerHooks {
    async fn call(&self, hook: Hook<'_>) -> Result<Option<String>, String> {
        let daemon = &self.0;
        Ok(match hook {
            Hook::CountObjects => Some(count(daemon).to_string()),
            // A socket has none.
            Hook::CountSessions => None,
            Hook::CreateForeign(name) => {
                let body = json!({"Image": IMAGE});
                let path = format!("/containers/create?name={name}");
                succeeded(daemon.call("POST", &path, Some(&body)).status, 201)?
            }
            Hook::PowerOff(name) => {
                let path = format!("/containers/{name}/kill");
                succeeded(daemon.call("POST", &path, None).status, 204)?
            }
            Hook::Remove(name) => {
                let path = format!("/containers/{name}?force=1&v=1");
                match daemon.call("DELETE", &path, None).status {
                    404 => Some(String::new()),
                    status => succeeded(status, 204)?,
                }
            }
            Hook::ReadUserdata(name) => {
                let path = format!("/containers/{name}/archive?path=/var/lib/cloud/seed/nocloud/user-data");
                let archive = daemon.call("GET", &path, None);
                succeeded(archive.status, 200)?;
                Some(only_file(&archive.body)?)
            }
        })
    }
}

fn succeeded(status: u16, wanted: u16) -> Result<Option<String>, String> {
    if status == wanted {
        return Ok(Some(String::new()));
    }
    Err(format!("the daemon answers {status} and not {wanted}"))
}

/// Containers, networks and volumes.
fn count(daemon: &Dockerd) -> usize {
    let lists = [
        ("/containers/json?all=1", ""),
        ("/networks", ""),
        ("/volumes", "/Volumes"),
    ];
    let counts = lists.map(|(path, place)| {
        let answer = daemon.call("GET", path, None).expect(200).json();
        answer
            .pointer(place)
            .and_then(|list| list.as_array())
            .map_or(0, Vec::len)
    });
    counts.iter().sum()
}

/// The bytes of the file in an archive, in hexadecimal digits.
pub(crate) fn only_file(archive: &[u8]) -> Result<String, String> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let entry = entries.next().ok_or("the archive is empty")?;
    let mut data = Vec::new();
    entry
        .map_err(|error| error.to_string())?
        .read_to_end(&mut data)
        .map_err(|error| error.to_string())?;
    let mut digits = String::new();
    for byte in data {
        write!(digits, "{byte:02x}").map_err(|error| error.to_string())?;
    }
    Ok(digits)
}
