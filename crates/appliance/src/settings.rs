//! Settings of `gantry serve`: one table of keys, three sources, no hidden defaults.
//!
//! A value comes from the flag, else the environment, else the file, else the default in [`KEYS`]; every value is
//! parsed from its text by the same function, so an error names its place whatever the source was.

mod example;
mod file;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use boot_script::UnknownPolicy;
use servers::ControlPlaneProof;

pub use example::example;
pub use table::{DEFAULT_DATA, KEYS, Key, flag, variable};

/// Configuration file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "/etc/gantry/gantry.yaml";

/// What `gantry serve` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Data directory.
    pub data: PathBuf,
    /// Directory of keys.
    pub key_dir: PathBuf,
    /// Name of the site in certificates.
    pub site: String,
    /// Where the Kubernetes API listens.
    pub api_listen: SocketAddr,
    /// Network interface of the boot services; none without boot services.
    pub interface: Option<String>,
    /// Address of the boot services (`tinkerbellIP`).
    pub address: Option<Ipv4Addr>,
    /// Port of HTTP.
    pub http_port: u16,
    /// Port of the agent endpoint.
    pub agent_port: u16,
    /// What machines get that no Hardware names.
    pub unknown_machines: UnknownPolicy,
    /// Whether machines without an attempt boot the installer.
    pub idle_installer: bool,
    /// Whether metadata gives user data to whoever has a machine's address.
    pub serve_user_data_by_address: bool,
    /// Whether control-plane machines with a BMC must be confirmed by it.
    pub control_plane_proof: ControlPlaneProof,
    /// Minutes from power-on to a machine's first packet, where its Server does not say.
    pub post_minutes: u32,
    /// Minutes until somebody powers an armed machine on that Gantry does not, where its Server does not say.
    pub manual_minutes: u32,
    /// Further kernel arguments of the installer.
    pub kernel_arguments: Vec<String>,
    /// Whether router solicitations are answered.
    pub router_advertisement: bool,
    /// Boot events, and lines of actions, that are kept of each machine.
    pub records_per_machine: u32,
    /// Folder of installer, iPXE, node images and release.
    pub parts: Option<PathBuf>,
    /// Whether nodes get the relaxed timings that emulated machines need.
    pub lab_timings: bool,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
    /// Log file beside standard error.
    pub log_file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The text.
    pub value: String,
    /// `flag --x`, `variable GANTRY_X` or `file:line`.
    pub place: String,
}

/// A wrong setting: where, what, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault(pub(crate) Vec<String>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Settings {
    /// Merges the file (when there is one) below what flags and environment gave, by key name.
    pub fn load(file: Option<&Path>, given: &BTreeMap<&'static str, Given>) -> Result<Settings, Fault> {
        let mut values = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Fault(vec![format!("{}: {error}", path.display())]))?;
                file::parse(&text, &path.display().to_string())?
            }
            None => BTreeMap::new(),
        };
        values.extend(given.iter().map(|(key, value)| (*key, value.clone())));
        Settings::from_values(&values)
    }

    fn from_values(values: &BTreeMap<&'static str, Given>) -> Result<Settings, Fault> {
        let mut settings = table::empty();
        let mut faults = Vec::new();
        for key in KEYS {
            let given = values.get(key.name);
            let text = given.map_or(key.default, |given| given.value.as_str());
            if let Err(reason) = (key.set)(&mut settings, text) {
                let place = given.map_or("default", |given| given.place.as_str());
                faults.push(format!("{place}: `{}` is {text:?}: {reason}", key.name));
            }
        }
        faults.extend(settings.contradictions());
        if faults.is_empty() {
            Ok(settings)
        } else {
            Err(Fault(faults))
        }
    }

    fn contradictions(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.interface.is_some() != self.address.is_some() {
            faults.push(
                "`interface` and `address` belong together: give both to boot machines, none for the API alone"
                    .to_owned(),
            );
        }
        if self.key_dir.starts_with(&self.data) {
            faults.push(format!(
                "`keyDir` {} lies in `data` {}: a copy of the data would carry the keys; choose another folder",
                self.key_dir.display(),
                self.data.display()
            ));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&'static str, &str)]) -> BTreeMap<&'static str, Given> {
        let value = |text: &str| Given {
            value: text.to_owned(),
            place: "flag".to_owned(),
        };
        pairs.iter().map(|(key, text)| (*key, value(text))).collect()
    }

    #[test]
    fn defaults_are_valid() {
        let settings = Settings::load(None, &BTreeMap::new()).unwrap();
        assert_eq!(settings.api_listen.port(), 6443);
        assert_eq!(settings.data, Path::new(DEFAULT_DATA));
        assert_eq!(settings.interface, None);
    }

    #[test]
    fn what_is_given_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gantry.yaml");
        std::fs::write(&file, "site: from-file\nhttpPort: 8080\n").unwrap();
        let settings = Settings::load(Some(&file), &given(&[("site", "from-flag")])).unwrap();
        assert_eq!((settings.site.as_str(), settings.http_port), ("from-flag", 8080));
    }

    #[test]
    fn all_faults_are_told_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gantry.yaml");
        std::fs::write(&file, "# comment\nhttpPort: many\naddress: 10.0.0.300\n").unwrap();
        let text = Settings::load(Some(&file), &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(text.contains("gantry.yaml:2: `httpPort`"), "{text}");
        assert!(text.contains("gantry.yaml:3: `address`"), "{text}");
    }

    #[test]
    fn keys_do_not_lie_in_the_data_directory() {
        let text = Settings::load(None, &given(&[("data", "/d"), ("keyDir", "/d/keys")])).unwrap_err();
        assert!(text.to_string().contains("keyDir"), "{text}");
    }

    #[test]
    fn interface_and_address_belong_together() {
        assert!(Settings::load(None, &given(&[("interface", "eth0")])).is_err());
        assert!(Settings::load(None, &given(&[("interface", "eth0"), ("address", "10.0.0.2")])).is_ok());
    }
}
