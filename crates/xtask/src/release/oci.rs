//! The container image, as an OCI image layout in a tar archive (OCI image spec 1.1): the program, certificates of
//! authorities for downloads, and the folders that it writes to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::artifacts::Release;
use super::files::archive as tar;
use super::run::run;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Where OpenSSL and rustls look for authorities.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Writes the archive.
pub(super) fn archive(release: &Release) -> anyhow::Result<PathBuf> {
    let scratch = release.out.join("oci");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    let layout = scratch.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let plain = scratch.join("layer.tar");
    let root = root_folder(release, &scratch)?;
    run(tar(release, &root).arg("-cf").arg(&plain).arg("."))?;
    let diff = digest(&fs::read(&plain)?);
    run(Command::new("gzip").args(["-n", "-9", "-f"]).arg(&plain))?;
    let layer = blob(&blobs, LAYER, &fs::read(scratch.join("layer.tar.gz"))?)?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/gantry"],
            "Cmd": ["serve"],
            "Labels": {
                "org.opencontainers.image.title": "gantry",
                "org.opencontainers.image.version": release.version,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff}")]},
    });
    let config = blob(&blobs, CONFIG, &serde_json::to_vec(&config)?)?;
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let mut manifest = blob(&blobs, MANIFEST, &serde_json::to_vec(&manifest)?)?;
    if let Some(fields) = manifest.as_object_mut() {
        let name = json!({"org.opencontainers.image.ref.name": release.version});
        fields.insert("annotations".to_owned(), name);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
    fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(layout.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let to = release.artifact("-linux-amd64.oci.tar");
    run(tar(release, &layout).arg("-cf").arg(&to).arg("."))?;
    fs::remove_dir_all(&scratch)?;
    Ok(to)
}

fn root_folder(release: &Release, scratch: &Path) -> anyhow::Result<PathBuf> {
    let root = scratch.join("root");
    for (folder, mode) in [
        ("usr/bin", 0o755),
        ("etc/ssl/certs", 0o755),
        ("etc/gantry", 0o755),
        ("var/lib/gantry", 0o700),
        ("tmp", 0o1777),
    ] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
    }
    fs::copy(&release.gantry, root.join("usr/bin/gantry"))?;
    let authorities = Path::new("/").join(AUTHORITIES);
    fs::copy(&authorities, root.join(AUTHORITIES))
        .with_context(|| format!("{}: install ca-certificates", authorities.display()))?;
    Ok(root)
}

/// Stores a blob; gives its descriptor.
fn blob(folder: &Path, media_type: &str, octets: &[u8]) -> anyhow::Result<Value> {
    let digest = digest(octets);
    fs::write(folder.join(&digest), octets)?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": octets.len()}))
}

fn digest(octets: &[u8]) -> String {
    Sha256::digest(octets)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}
