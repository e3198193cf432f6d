//! Which version of the API is spoken with a daemon: the newest that both know.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use driver::Fault;
use http::{Method, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::model::Version;
use super::transport::{request, send};

/// Of Docker 20.10: the first with a private cgroup namespace for each container.
const OLDEST: ApiVersion = ApiVersion(1, 41);
/// Of Docker 28. A newer daemon speaks it too.
const NEWEST: ApiVersion = ApiVersion(1, 51);
/// After this long a daemon is asked again: it may have been upgraded.
const VALID: Duration = Duration::from_secs(60);

/// A version of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(pub(crate) u32, pub(crate) u32);

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self(major.parse().map_err(drop)?, minor.parse().map_err(drop)?))
    }
}

/// Versions that were negotiated lately, by socket.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<HashMap<PathBuf, (ApiVersion, Instant)>>);

impl Versions {
    /// The version for the daemon at a socket.
    pub(super) async fn negotiated(&self, socket: &Path) -> Result<ApiVersion, Fault> {
        let mut known = self.0.lock().await;
        if let Some((version, since)) = known.get(socket)
            && since.elapsed() < VALID
        {
            return Ok(*version);
        }
        let version = negotiate(&ask(socket).await?)?;
        known.insert(socket.to_owned(), (version, Instant::now()));
        Ok(version)
    }
}

async fn ask(socket: &Path) -> Result<Version, Fault> {
    // A question has no effect, however it ends.
    let answer = send(socket, request(Method::GET, "/version", None)?)
        .await
        .map_err(Fault::without_effect)?;
    if answer.status != StatusCode::OK {
        return Err(answer.unexpected().without_effect());
    }
    answer.read().map_err(Fault::without_effect)
}

fn negotiate(daemon: &Version) -> Result<ApiVersion, Fault> {
    let refuse = |text: String| Err(Fault::invalid("/scope/config/host", text));
    if !daemon.os.is_empty() && daemon.os != "linux" {
        return refuse(format!(
            "the Docker daemon runs {} containers: machines need Linux",
            daemon.os
        ));
    }
    let Ok(newest) = daemon.api_version.parse::<ApiVersion>() else {
        return refuse(format!(
            "the daemon names {:?} as its API version",
            daemon.api_version
        ));
    };
    let oldest = daemon.min_api_version.parse::<ApiVersion>().unwrap_or(OLDEST);
    if newest < OLDEST {
        return refuse(format!(
            "Docker {} speaks API {newest}, and {OLDEST} is needed: install Docker 20.10 or later",
            daemon.version
        ));
    }
    if oldest > NEWEST {
        return refuse(format!(
            "Docker {} speaks no API below {oldest}, and this driver none above {NEWEST}: install a newer driver",
            daemon.version
        ));
    }
    Ok(newest.min(NEWEST))
}

#[cfg(test)]
mod tests {
    use super::{ApiVersion, NEWEST, negotiate};
    use crate::daemon::model::Version;

    fn daemon(oldest: &str, newest: &str, os: &str) -> Version {
        Version {
            version: "99".to_owned(),
            api_version: newest.to_owned(),
            min_api_version: oldest.to_owned(),
            os: os.to_owned(),
        }
    }

    #[test]
    fn the_newest_that_both_know_is_spoken() {
        for (oldest, newest, wanted) in [
            ("1.12", "1.41", Some(ApiVersion(1, 41))),
            ("1.24", "1.47", Some(ApiVersion(1, 47))),
            ("1.44", "1.99", Some(NEWEST)),
            ("", "1.45", Some(ApiVersion(1, 45))),
            ("1.12", "1.40", None),
            ("1.60", "1.70", None),
            ("1.12", "newest", None),
        ] {
            let found = negotiate(&daemon(oldest, newest, "linux"));
            assert_eq!(found.ok(), wanted, "{oldest} to {newest}");
        }
        let windows = negotiate(&daemon("1.24", "1.45", "windows")).unwrap_err();
        assert_eq!(windows.detail.field, "/scope/config/host");
    }
}
