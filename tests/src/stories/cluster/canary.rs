//! The canary: what the appliance keeps secret is nowhere but sealed. Looked for in every packet of the boot network
//! (DHCP, TFTP, scripts with their kernel arguments, metadata, images), in logs, consoles, what the rack noted, and in
//! every file of the data directory.

use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::new_cluster::{items, text};
use crate::rack::{Rack, held};

/// Length of what is looked for: short enough to be in one packet, long enough to be no chance.
const NEEDLE: usize = 20;
const PEM_LINE: usize = 64;

/// A secret, in the forms in which it could appear.
struct Canary {
    name: String,
    needles: Vec<Vec<u8>>,
}

impl Canary {
    fn new(name: impl Into<String>, value: &[u8], encoded: &str) -> Canary {
        let plain = std::str::from_utf8(value).ok().and_then(line_of_key);
        let plain = plain.unwrap_or_else(|| middle(value));
        let needles = vec![plain, middle(encoded.trim_end_matches('=').as_bytes())];
        Canary {
            name: name.into(),
            needles,
        }
    }
}

/// The end of the first line of a PEM key: there a P-256 key has its private part, and no line ends.
fn line_of_key(text: &str) -> Option<Vec<u8>> {
    let line = text
        .lines()
        .find(|line| line.len() == PEM_LINE && !line.starts_with('-'))?;
    Some(line.as_bytes()[PEM_LINE - NEEDLE..].to_vec())
}

/// The middle of a value: armour and headers are at its ends.
fn middle(value: &[u8]) -> Vec<u8> {
    let start = value.len().saturating_sub(NEEDLE) / 2;
    value[start..value.len().min(start + NEEDLE)].to_vec()
}

pub(super) fn no_secrets(rack: &Rack) -> anyhow::Result<()> {
    let canaries = canaries(rack)?;
    let files = files(rack)?;
    // The search must be able to find: what is public is there.
    let name = &rack.plan.machines.first().context("no machine")?.name;
    let public = AhoCorasick::new([name])?;
    for path in [rack.file("serve.log"), rack.paths.capture()] {
        ensure!(
            held(&path, &public)?.is_some(),
            "{} does not even hold {name}",
            path.display()
        );
    }
    let needles: Vec<(&str, &[u8])> = canaries
        .iter()
        .flat_map(|canary| {
            canary
                .needles
                .iter()
                .map(|needle| (canary.name.as_str(), needle.as_slice()))
        })
        .collect();
    let patterns = AhoCorasick::new(needles.iter().map(|(_, needle)| needle))?;
    for path in &files {
        if let Some(found) = held(path, &patterns)? {
            let name = needles.get(found).map_or("a secret", |(name, _)| name);
            bail!("{} holds {name}", path.display());
        }
    }
    println!(
        "none of {} secrets is in any of {} files: packets, logs, consoles, data",
        canaries.len(),
        files.len()
    );
    Ok(())
}

/// Every secret value of the appliance's API, and its own keys.
fn canaries(rack: &Rack) -> anyhow::Result<Vec<Canary>> {
    let mut canaries = Vec::new();
    for secret in items(rack, "secrets")? {
        let name = text(&secret["metadata"]["name"]);
        let data = secret["data"].as_object().cloned().unwrap_or_default();
        for (key, value) in data {
            let encoded = text(&value);
            if key.ends_with(".crt") || key == "username" || encoded.is_empty() {
                continue;
            }
            let decoded = String::from_utf8(decode(&encoded)?).context("a secret is no text")?;
            let label = format!("{key} of Secret {name}");
            match decoded.split_once("client-key-data:") {
                // Of a kubeconfig only the key is secret.
                Some((_, after)) => {
                    let inner = after.split_whitespace().next().context("no key")?;
                    canaries.push(Canary::new(label, &decode(inner)?, inner));
                }
                None => canaries.push(Canary::new(label, decoded.as_bytes(), &encoded)),
            }
        }
    }
    let secrets = canaries.len();
    ensure!(secrets >= 6, "only {secrets} secrets to look for");
    for name in ["admin.token", "seal.key", "site-ca.pem"] {
        let value = std::fs::read(rack.file("keys").join(name))?;
        let key = match name {
            // The certificate of the site's CA is public.
            "site-ca.pem" => key_of(&value)?,
            _ => value,
        };
        canaries.push(Canary::new(name, &key, &String::from_utf8_lossy(&key)));
    }
    Ok(canaries)
}

/// The private key of a PEM file that holds a certificate too.
fn key_of(pem: &[u8]) -> anyhow::Result<Vec<u8>> {
    let pem = String::from_utf8_lossy(pem);
    let body = pem
        .split_once("PRIVATE KEY-----")
        .and_then(|(_, after)| after.split_once("-----END"))
        .context("no private key in it")?;
    Ok(body.0.trim().as_bytes().to_vec())
}

/// Where a secret must not be.
fn files(rack: &Rack) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![rack.file("serve.log"), rack.paths.capture()];
    below(&rack.file("data"), &mut files)?;
    // What the virtual machines and BMCs wrote; the disks of the nodes hold what the nodes need.
    let mut rack_files = Vec::new();
    below(&rack.paths.dir, &mut rack_files)?;
    files.extend(rack_files.into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default();
        name == "console.log" || name == "bmc.jsonl" || name == "supervisor.log"
    }));
    // The admin's own file, for the admin alone.
    files.retain(|path| path.file_name().is_none_or(|name| name != "admin.kubeconfig"));
    ensure!(files.len() >= 8, "only {} files to look into", files.len());
    Ok(files)
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => below(&entry.path(), files)?,
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    BASE64.decode(text).context("no base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_looked_for_as_it_is_and_encoded() {
        let canary = Canary::new("x", b"hunter2-hunter2", "aHVudGVyMi1odW50ZXIy");
        assert_eq!(canary.needles[0], b"hunter2-hunter2");
        assert_eq!(canary.needles[1], b"aHVudGVyMi1odW50ZXIy");
        assert_eq!(middle(&[7; 100]).len(), NEEDLE);
    }

    #[test]
    fn of_a_key_in_pem_a_piece_of_its_private_part_is_looked_for() {
        let line: String = ('a'..='z').cycle().take(PEM_LINE).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{line}\nabc=\n-----END PRIVATE KEY-----\n");
        assert_eq!(
            Canary::new("x", pem.as_bytes(), "e").needles[0],
            line.as_bytes()[44..]
        );
    }

    #[test]
    fn the_key_of_a_pem_file_is_found_behind_its_certificate() {
        let pem = b"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n";
        assert_eq!(key_of(pem).unwrap(), b"secret");
    }
}
