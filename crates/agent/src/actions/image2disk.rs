//! `image2disk`: stream an image to a disk.
//!
//! The compression is told by content (`COMPRESSED` is accepted and ignored). Run again, it recognises a finished disk
//! if the digest of the raw image is known; any other disk is written from the start, and can't boot until the end.

use std::io::Read as _;

use agent_protocol::environment::{
    DEST_DISK, FACT_DISK, FACT_ESP_GUID, FACT_IMAGE_DIGEST, GUID_REFERENCES, IMG_DIGEST, IMG_RAW_DIGEST,
    IMG_RAW_SIZE, IMG_URL, PARTITION_GUIDS,
};
use agent_protocol::v1;
use disk_image::{Expected, Gate, Identities, ImageReader, WriteJob, install};
use resources::gantry::Firmware;
use resources::{Digest, GuidReference, ImageManifest};

use super::settings::wrong;
use super::{ActionContext, Outcome, other_systems};
use crate::Error;

/// Longest manifest that is read, in bytes.
const MANIFEST: u64 = 16 << 20;

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let url = context.required(IMG_URL)?;
    let expected = Expected {
        digest: context
            .parsed(IMG_DIGEST, "a digest (sha256:HEX)")?
            .or_else(|| named_digest(url)),
        raw_digest: context.parsed(IMG_RAW_DIGEST, "a digest (sha256:HEX)")?,
        raw_size: context.parsed(IMG_RAW_SIZE, "a number of bytes")?,
    };
    let references = references(context, url)?;
    let identities = match references.as_deref() {
        None => Identities::Keep,
        Some(references) => Identities::Renew {
            seed: context.identity.as_bytes(),
            references,
        },
    };
    let (device, target) = context.open_disk(DEST_DISK)?;
    let stable = context.host.stable_name(&device);
    context.board.log(format!(
        "{url} to {} ({}), {} bytes",
        device.display(),
        stable.display(),
        target.size()
    ));
    for line in other_systems::lines(&context.host.disks(), &device) {
        context.board.log(line);
    }
    let job = WriteJob {
        expected,
        identities,
        firmware: match context.host.firmware() {
            v1::Firmware::Bios => Some(Firmware::Bios),
            v1::Firmware::Uefi => Some(Firmware::Uefi),
            v1::Firmware::Unspecified => None,
        },
    };
    let image = ImageReader::open(context.host.fetch(url)?)?;
    context
        .board
        .log(format!("the image is {:?}", image.compression()).to_lowercase());
    let written = install(image, &*target, &job, context)?;
    let message = if written.already {
        format!(
            "{} holds the image already; {} bytes checked",
            device.display(),
            written.raw_size
        )
    } else {
        format!(
            "{} bytes written to {} and read back",
            written.raw_size,
            device.display()
        )
    };
    let mut outcome = Outcome::done(message).fact(FACT_DISK, stable.display().to_string());
    if let Some(digest) = expected.raw_digest {
        outcome = outcome.fact(FACT_IMAGE_DIGEST, digest.to_string());
    }
    if let Some(guid) = written.esp_guid {
        outcome = outcome.fact(FACT_ESP_GUID, guid);
    }
    Ok(outcome)
}

/// The image's references to its partitions, if disk and partitions are to get new GUIDs. They keep the image's own
/// unless the template says otherwise or the image's manifest lists every reference: an image of a user may refer to its
/// partitions anywhere.
fn references(context: &ActionContext, url: &str) -> Result<Option<Vec<GuidReference>>, Error> {
    match context.optional(PARTITION_GUIDS) {
        None => return published(context, url),
        Some("keep") => return Ok(None),
        Some("renew") => {}
        Some(other) => {
            return Err(wrong(
                PARTITION_GUIDS,
                &format!("{other:?} is neither keep nor renew"),
            ));
        }
    }
    let list = context.optional(GUID_REFERENCES).unwrap_or_default();
    let parse = |text: &str| {
        text.trim()
            .parse()
            .map_err(|error: resources::ParseGuidReferenceError| {
                wrong(GUID_REFERENCES, &format!("{text:?}: {error}"))
            })
    };
    list.split(',')
        .filter(|text| !text.trim().is_empty())
        .map(parse)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The references that the manifest of one of the appliance's images lists; no list for any other image.
fn published(context: &ActionContext, url: &str) -> Result<Option<Vec<GuidReference>>, Error> {
    let Some(digest) = named_digest(url) else {
        return Ok(None);
    };
    let url = format!("{url}/manifest.json");
    let stream = context.host.fetch(&url)?;
    match serde_json::from_reader::<_, ImageManifest>(stream.take(MANIFEST)) {
        Ok(manifest) if manifest.digest == digest => Ok(manifest.guid_references),
        Err(error) if error.is_io() => Err(Error::Fetch {
            url,
            reason: error.to_string(),
        }),
        _ => {
            context
                .board
                .log(format!("{url} is no manifest of this image; it keeps its GUIDs"));
            Ok(None)
        }
    }
}

/// The appliance names images by what they hash to (`/images/HEX`): such a file must be what its name says.
fn named_digest(url: &str) -> Option<Digest> {
    let path = url.split(['?', '#']).next()?;
    let (folder, name) = path.rsplit_once('/')?;
    let named = folder.ends_with("/images") && name.len() == 64;
    named.then(|| format!("sha256:{name}").parse().ok()).flatten()
}

impl Gate for ActionContext {
    fn admit(&self) -> Result<(), String> {
        self.lease.wait(&self.cancel)
    }

    fn progress(&self, phase: &'static str, done: u64, total: Option<u64>) {
        // Writing takes most of the time, reading back the rest.
        let (from, share) = if phase == "reading back" {
            (85, 14)
        } else {
            (0, 85)
        };
        let percent = total.filter(|total| *total > 0).map(|total| {
            let part = u128::from(done.min(total)) * share / u128::from(total);
            from + u8::try_from(part).unwrap_or(0)
        });
        self.board.set_progress(phase, percent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_of_the_appliance_is_a_digest() {
        let hex = "ab".repeat(32);
        let named = named_digest(&format!("http://192.0.2.1:7080/images/{hex}"));
        assert_eq!(named.map(Digest::hex), Some(hex.clone()));
        for other in [
            "http://192.0.2.1/images/a".to_owned(),
            format!("http://192.0.2.1/{hex}"),
            format!("http://192.0.2.1/images/{hex}/manifest.json"),
            format!("http://192.0.2.1/images/{}", "zz".repeat(32)),
        ] {
            assert_eq!(named_digest(&other), None, "{other}");
        }
    }
}
