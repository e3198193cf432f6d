//! Writes container images as OCI archives (OCI image spec 1.1, "Image Layout"), each layer compressed by zstd.
//!
//! Invariant: times, owners and order are fixed, so the same files give the same digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use resources::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// zstd level of layers.
const LEVEL: i32 = 9;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What lies at a path of a layer.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Copy of a file of the machine that builds.
    Copy {
        /// From where.
        from: PathBuf,
        /// Permissions.
        mode: u32,
    },
    /// Bytes.
    Text {
        /// Content.
        text: String,
        /// Permissions.
        mode: u32,
    },
    /// Symbolic link.
    Link(String),
    /// Directory.
    Directory(u32),
}

/// Paths without a leading slash. Directories above a file are made with mode 0755.
pub(crate) type Layer = BTreeMap<String, Node>;

/// A compressed layer, ready for any number of images.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    octets: Vec<u8>,
    digest: Digest,
    diff: Digest,
}

/// An image to be written.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// Full reference with tag.
    pub(crate) name: &'a str,
    /// From the bottom up.
    pub(crate) layers: Vec<&'a Packed>,
    /// Command and arguments.
    pub(crate) entrypoint: Vec<String>,
}

/// Packs a layer.
pub(crate) fn pack(layer: &Layer) -> io::Result<Packed> {
    let mut archive = tar::Builder::new(Hashing {
        inner: Vec::new(),
        hash: Sha256::new(),
    });
    let mut directories = BTreeSet::new();
    for (path, node) in layer {
        for (end, _) in path.match_indices('/') {
            let above = path.get(..end).unwrap_or_default();
            if !layer.contains_key(above) && directories.insert(above) {
                append(&mut archive, above, &Node::Directory(0o755))?;
            }
        }
        append(&mut archive, path, node)?;
    }
    let Hashing { inner, hash } = archive.into_inner()?;
    let octets = zstd::bulk::compress(&inner, LEVEL)?;
    Ok(Packed {
        digest: digest(&octets),
        diff: Digest::new(hash.finalize().into()),
        octets,
    })
}

fn append(archive: &mut tar::Builder<Hashing>, path: &str, node: &Node) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match node {
        Node::Copy { from, mode } => {
            let file = File::open(from)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", from.display())))?;
            header.set_size(file.metadata()?.len());
            header.set_mode(*mode);
            archive.append_data(&mut header, path, file)
        }
        Node::Text { text, mode } => {
            header.set_size(text.len() as u64);
            header.set_mode(*mode);
            archive.append_data(&mut header, path, text.as_bytes())
        }
        Node::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            archive.append_link(&mut header, path, target)
        }
        Node::Directory(mode) => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(*mode);
            archive.append_data(&mut header, format!("{path}/"), io::empty())
        }
    }
}

/// Writes the archive and returns the digest of the image's manifest.
pub(crate) fn write(image: &Image<'_>, out: &Path) -> io::Result<Digest> {
    let config = to_octets(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": image.entrypoint,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": image.layers.iter().map(|layer| layer.diff).collect::<Vec<_>>() },
    }))?;
    let layers = image.layers.iter().map(|layer| {
        descriptor(
            "application/vnd.oci.image.layer.v1.tar+zstd",
            &layer.octets,
            layer.digest,
        )
    });
    let manifest = to_octets(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config, digest(&config)),
        "layers": layers.collect::<Vec<_>>(),
    }))?;
    let manifest_digest = digest(&manifest);
    let mut entry = descriptor(MANIFEST, &manifest, manifest_digest);
    entry["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    entry["annotations"] = json!({
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rsplit(':').next(),
    });
    let index = to_octets(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    }))?;

    let mut archive = tar::Builder::new(File::create(out)?);
    let mut put = |path: &str, octets: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(octets.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, octets)
    };
    put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    put("index.json", &index)?;
    put(&blob(manifest_digest), &manifest)?;
    put(&blob(digest(&config)), &config)?;
    for layer in &image.layers {
        put(&blob(layer.digest), &layer.octets)?;
    }
    archive.into_inner()?.sync_all()?;
    Ok(manifest_digest)
}

fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn descriptor(media_type: &str, octets: &[u8], digest: Digest) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": octets.len() })
}

fn to_octets(value: &Value) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn digest(octets: &[u8]) -> Digest {
    Digest::new(Sha256::digest(octets).into())
}

#[derive(Debug)]
struct Hashing {
    inner: Vec<u8>,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.hash.update(octets);
        self.inner.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer() -> Layer {
        Layer::from([
            (
                "usr/bin/tool".to_owned(),
                Node::Text {
                    text: "#!".to_owned(),
                    mode: 0o755,
                },
            ),
            ("usr/bin/alias".to_owned(), Node::Link("tool".to_owned())),
            ("tmp".to_owned(), Node::Directory(0o1777)),
        ])
    }

    #[test]
    fn an_archive_holds_every_blob_that_its_index_reaches() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("tool.tar");
        let packed = pack(&layer()).unwrap();
        let image = Image {
            name: "gantry.dev/tool:v1",
            layers: vec![&packed],
            entrypoint: vec!["/usr/bin/tool".to_owned()],
        };
        let written = write(&image, &out).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(File::open(&out).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut octets = Vec::new();
            io::Read::read_to_end(&mut entry, &mut octets).unwrap();
            files.insert(path, octets);
        }
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let entry = &index["manifests"][0];
        assert_eq!(entry["digest"], json!(written));
        assert_eq!(
            entry["annotations"]["io.containerd.image.name"],
            "gantry.dev/tool:v1"
        );
        let manifest: Value = serde_json::from_slice(&files[&blob(written)]).unwrap();
        for part in manifest["layers"]
            .as_array()
            .unwrap()
            .iter()
            .chain([&manifest["config"]])
        {
            let digest: Digest = serde_json::from_value(part["digest"].clone()).unwrap();
            let octets = &files[&blob(digest)];
            assert_eq!(super::digest(octets), digest);
            assert_eq!(part["size"], octets.len());
        }
        assert_eq!(files.len(), 5);
    }

    #[test]
    fn a_layer_unpacks_to_its_digest_and_repeats() {
        let one = pack(&layer()).unwrap();
        let plain = zstd::stream::decode_all(one.octets.as_slice()).unwrap();
        assert_eq!(digest(&plain), one.diff);
        assert_eq!(pack(&layer()).unwrap().digest, one.digest);
        let mut archive = tar::Archive::new(plain.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            paths,
            ["tmp/", "usr/", "usr/bin/", "usr/bin/alias", "usr/bin/tool"]
        );
    }
}
