//! The file of setting `driversFile`: plugin drivers, how their programs are started, and their scopes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use driver::launch::{Limits, UserIds};
use driver::supervisor::DriverConfiguration;
use resources::gantry::{ProviderDriverSpec, ProviderScope, SecretPlace};
use resources::keys::METAL_PROVIDER;
use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::Fault;

/// Variables of the contract begin so; the supervisor alone sets them.
const RESERVED: &str = "MACHINE_DRIVER_";

/// A driver that the file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfiguredDriver {
    /// How its process is started.
    pub(crate) process: DriverConfiguration,
    /// As its object shows it.
    pub(crate) spec: ProviderDriverSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    drivers: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    program: Spanned<PathBuf>,
    sha256: Spanned<String>,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    readable: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    user: Option<Spanned<String>>,
    #[serde(default)]
    limits: Limits,
    scopes: Vec<Scope>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    name: Spanned<String>,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    secret: Option<Spanned<String>>,
}

/// Reads the file.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub(crate) fn read(path: &Path) -> Result<Vec<ConfiguredDriver>, Fault> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault(vec![format!("setting `driversFile`: {name}: {error}")]))?;
    parse(&text, &name)
}

fn parse(text: &str, name: &str) -> Result<Vec<ConfiguredDriver>, Fault> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| Fault(vec![format!("{name}: {error}")]))?;
    let mut faults = Faults {
        name,
        found: Vec::new(),
    };
    let mut names = BTreeSet::new();
    let drivers: Vec<ConfiguredDriver> = file
        .drivers
        .into_iter()
        .map(|entry| {
            if !names.insert(entry.name.value.clone()) {
                faults.add(&entry.name, "name", "another driver has it already");
            }
            driver(entry, &mut faults)
        })
        .collect();
    match faults.found {
        found if found.is_empty() => Ok(drivers),
        found => Err(Fault(found)),
    }
}

/// What is wrong with the file.
struct Faults<'a> {
    name: &'a str,
    found: Vec<String>,
}

impl Faults<'_> {
    fn add<T>(&mut self, place: &Spanned<T>, field: &str, reason: &str) {
        let line = place.referenced.line();
        self.found
            .push(format!("{}:{line}: `{field}`: {reason}", self.name));
    }
}

fn driver(entry: Entry, faults: &mut Faults<'_>) -> ConfiguredDriver {
    check(&entry, faults);
    let user = entry.user.as_ref().and_then(|user| {
        let ids = user_ids(&user.value);
        if ids.is_none() {
            faults.add(user, "user", "it must be UID:GID, two numbers");
        }
        ids
    });
    let scopes = scopes(entry.scopes, &entry.name, faults);
    let environment = entry.environment.into_iter();
    ConfiguredDriver {
        spec: ProviderDriverSpec {
            program: entry.program.value.display().to_string(),
            sha256: entry.sha256.value.clone(),
            scopes,
        },
        process: DriverConfiguration {
            name: entry.name.value,
            program: entry.program.value,
            sha256: Some(entry.sha256.value),
            arguments: entry.arguments,
            environment: environment.map(|(name, value)| (name, value.value)).collect(),
            user,
            limits: entry.limits,
            readable: entry.readable.into_iter().map(|path| path.value).collect(),
        },
    }
}

fn check(entry: &Entry, faults: &mut Faults<'_>) {
    let name = &entry.name.value;
    if !is_label(name) {
        faults.add(
            &entry.name,
            "name",
            "it must be a DNS label: lower-case letters, digits and `-`",
        );
    } else if name == METAL_PROVIDER {
        faults.add(&entry.name, "name", "bare metal is driven by Gantry itself");
    }
    if !entry.program.value.is_absolute() {
        faults.add(&entry.program, "program", "it must be an absolute path");
    }
    let digest = &entry.sha256.value;
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if digest.len() != 64 || !digest.chars().all(hexadecimal) {
        let program = entry.program.value.display();
        let text =
            format!("it must be 64 lower-case hexadecimal digits, as `sha256sum {program}` prints them");
        faults.add(&entry.sha256, "sha256", &text);
    }
    for path in entry.readable.iter().filter(|path| !path.value.is_absolute()) {
        faults.add(path, "readable", "it must be an absolute path");
    }
    for (variable, value) in &entry.environment {
        if variable.is_empty() || variable.contains('=') || variable.starts_with(RESERVED) {
            let text = format!(
                "{variable:?} can't be set: a name without `=`, and none that begins with {RESERVED}"
            );
            faults.add(value, "environment", &text);
        }
    }
    let limits = entry.limits;
    for (field, value) in [
        ("memoryMib", limits.memory_mib),
        ("openFiles", limits.open_files),
        ("processes", limits.processes),
    ] {
        if value == 0 {
            faults.add(
                &entry.name,
                "limits",
                &format!("{field} is 0, with which no program starts"),
            );
        }
    }
}

fn scopes(entries: Vec<Scope>, driver: &Spanned<String>, faults: &mut Faults<'_>) -> Vec<ProviderScope> {
    if entries.is_empty() {
        faults.add(
            driver,
            "scopes",
            "a driver without a scope makes no machine: name one at least",
        );
    }
    let mut names = BTreeSet::new();
    let scopes = entries.into_iter().map(|entry| {
        if !is_label(&entry.name.value) {
            let text = "it must be a DNS label: lower-case letters, digits and `-`";
            faults.add(&entry.name, "scopes.name", text);
        }
        if !names.insert(entry.name.value.clone()) {
            faults.add(
                &entry.name,
                "scopes.name",
                "another scope of the driver has it already",
            );
        }
        let secret = entry.secret.as_ref().and_then(|secret| {
            let place = secret_place(&secret.value);
            if place.is_none() {
                faults.add(
                    secret,
                    "scopes.secret",
                    "it must be NAMESPACE/NAME of a Secret of this API",
                );
            }
            place
        });
        ProviderScope {
            name: entry.name.value,
            config: entry.config,
            secret,
        }
    });
    scopes.collect()
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = !text.starts_with('-') && !text.ends_with('-');
    !text.is_empty() && text.len() <= 63 && ends && text.chars().all(inner)
}

fn user_ids(text: &str) -> Option<UserIds> {
    let (uid, gid) = text.split_once(':')?;
    Some(UserIds {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    })
}

fn secret_place(text: &str) -> Option<SecretPlace> {
    let (namespace, name) = text.split_once('/')?;
    let whole = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
    whole.then(|| SecretPlace {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
drivers:
- name: memory
  program: /usr/local/lib/gantry/gantry-driver-memory
  sha256: SUM
  arguments: [--quiet]
  environment: {LANG: C}
  readable: [/etc/ssl/certs]
  user: 1001:1002
  limits: {memoryMib: 256}
  scopes:
  - name: lab
    config: {url: 'http://192.0.2.1', network: lan}
    secret: eksa-system/memory
  - name: open
";

    fn good() -> String {
        GOOD.replace("SUM", &"ab".repeat(32))
    }

    #[test]
    fn every_field_gets_where_it_has_an_effect() {
        let drivers = parse(&good(), "d.yaml").unwrap();
        let ConfiguredDriver { process, spec } = &drivers[0];
        assert_eq!(process.name, "memory");
        assert_eq!(
            process.program,
            Path::new("/usr/local/lib/gantry/gantry-driver-memory")
        );
        assert_eq!(process.sha256, Some("ab".repeat(32)));
        assert_eq!(process.arguments, ["--quiet"]);
        assert_eq!(process.environment, [("LANG".to_owned(), "C".to_owned())]);
        assert_eq!(process.readable, [Path::new("/etc/ssl/certs")]);
        assert_eq!(process.user, Some(UserIds { uid: 1001, gid: 1002 }));
        let limits = Limits {
            memory_mib: 256,
            ..Limits::default()
        };
        assert_eq!(process.limits, limits);
        assert_eq!(
            (&spec.program, &spec.sha256),
            (&process.program.display().to_string(), &"ab".repeat(32))
        );
        let [lab, open] = &spec.scopes[..] else {
            panic!("{:?}", spec.scopes);
        };
        assert_eq!(
            (lab.name.as_str(), lab.config["network"].as_str()),
            ("lab", Some("lan"))
        );
        let secret = lab.secret.clone().unwrap();
        assert_eq!(
            (secret.namespace.as_str(), secret.name.as_str()),
            ("eksa-system", "memory")
        );
        assert_eq!((open.name.as_str(), &open.secret), ("open", &None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (good_text, bad_text, expected) in [
            ("name: memory", "name: metal", "d.yaml:2: `name`: bare metal"),
            (
                "name: memory",
                "name: Memory",
                "d.yaml:2: `name`: it must be a DNS label",
            ),
            (
                "program: /usr",
                "program: usr",
                "d.yaml:3: `program`: it must be an absolute path",
            ),
            (
                "sha256: ab",
                "sha256: AB",
                "d.yaml:4: `sha256`: it must be 64 lower-case",
            ),
            (
                "{LANG: C}",
                "{MACHINE_DRIVER_COOKIE: C}",
                "d.yaml:6: `environment`",
            ),
            ("[/etc/ssl/certs]", "[certs]", "d.yaml:7: `readable`"),
            ("1001:1002", "root", "d.yaml:8: `user`: it must be UID:GID"),
            ("memoryMib: 256", "memoryMib: 0", "`limits`: memoryMib is 0"),
            ("name: lab", "name: open", "`scopes.name`: another scope"),
            (
                "eksa-system/memory",
                "memory",
                "d.yaml:13: `scopes.secret`: it must be NAMESPACE/NAME",
            ),
            ("memoryMib", "memory", "memory"),
            ("  arguments", "  args", "args"),
        ] {
            let text = good().replacen(good_text, bad_text, 1);
            let fault = parse(&text, "d.yaml").unwrap_err().to_string();
            assert!(fault.contains(expected), "{bad_text}: {fault}");
        }
        let twice = format!("{}{}", good(), good().trim_start_matches("drivers:\n"));
        let fault = parse(&twice, "d.yaml").unwrap_err().to_string();
        assert!(fault.contains("another driver has it already"), "{fault}");
        let none = "drivers:\n- name: a\n  program: /p\n  sha256: x\n  scopes: []\n";
        let fault = parse(none, "d.yaml").unwrap_err().to_string();
        assert!(fault.contains("`scopes`: a driver without a scope"), "{fault}");
        assert!(fault.contains("`sha256`"), "all at once: {fault}");
    }

    #[test]
    fn a_file_that_is_missing_is_named_with_its_setting() {
        let fault = read(Path::new("/no/such/drivers.yaml")).unwrap_err().to_string();
        assert!(
            fault.contains("setting `driversFile`: /no/such/drivers.yaml"),
            "{fault}"
        );
    }
}
