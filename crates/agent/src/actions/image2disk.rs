//! `image2disk`: stream an image to a disk.
//!
//! The compression is told by content (`COMPRESSED` is accepted and ignored). Run again, it recognises a finished disk
//! if the digest of the raw image is known; any other disk is written from the start, and can't boot until the end.

use agent_protocol::environment::{
    DEST_DISK, FACT_DISK, FACT_ESP_GUID, FACT_IMAGE_DIGEST, IMG_DIGEST, IMG_RAW_DIGEST, IMG_RAW_SIZE,
    IMG_URL, PARTITION_GUIDS,
};
use agent_protocol::v1;
use disk_image::{Expected, Gate, ImageReader, WriteJob, install};
use resources::Digest;
use resources::gantry::Firmware;

use super::{ActionContext, Outcome};
use crate::Error;

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let url = context.required(IMG_URL)?;
    let expected = Expected {
        digest: context
            .parsed(IMG_DIGEST, "a digest (sha256:HEX)")?
            .or_else(|| named_digest(url)),
        raw_digest: context.parsed(IMG_RAW_DIGEST, "a digest (sha256:HEX)")?,
        raw_size: context.parsed(IMG_RAW_SIZE, "a number of octets")?,
    };
    let device = context.device(DEST_DISK)?;
    let stable = context.host.stable_name(&device);
    let target = context.host.open_disk(&device)?;
    context.board.log(format!(
        "{url} to {} ({}), {} octets",
        device.display(),
        stable.display(),
        target.size()
    ));
    let keep = context.optional(PARTITION_GUIDS) == Some("keep");
    let job = WriteJob {
        expected,
        seed: (!keep).then_some(context.identity.as_bytes()),
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
            "{} holds the image already; {} octets checked",
            device.display(),
            written.raw_size
        )
    } else {
        format!(
            "{} octets written to {} and read back",
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
