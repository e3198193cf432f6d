//! Settings of `gantry serve`: one table of keys, three sources, no hidden defaults.
//!
//! A value comes from the flag, else the environment, else the file, else the default in [`KEYS`]; every value is
//! parsed from its text by the same function, so an error names its place whatever the source was.

mod copies;
mod drivers;
mod example;
mod fault;
mod file;
mod given;
mod parse;
mod table;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

pub use copies::{CopyPlace, SnapshotCopySettings, StoreKey};
pub(crate) use drivers::ConfiguredDriver;
pub(crate) use drivers::read as read_drivers;
pub use example::example;
pub use fault::Fault;
pub use given::Given;
pub use table::{DEFAULT_DATA, KEYS, Key, flag, variable};
pub use values::{LogFormat, Settings};

/// Configuration file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "/etc/gantry/gantry.yaml";

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
        let mut settings = Settings::empty();
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
        faults.extend(self.snapshot_copies.contradictions(&self.data));
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
