//! Copies of snapshots as the settings want them, as the coordinator takes them.

use std::path::Path;
use std::sync::Arc;

use clusters::{Failure, Sink};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use resources::gantry::SnapshotCopy;
use sealed_files::Reader;
use snapshot_copies::{Copies, Directory, Key, Place, S3, S3Settings};

use crate::error::Error;
use crate::settings::{CopyPlace, SnapshotCopySettings};

const WHAT: &str = "copies of snapshots";
/// Folder in the data directory for files on their way.
const TRANSIT: &str = "snapshot-transit";

/// Opens them; none where nothing is to be copied.
pub(crate) fn open(
    settings: &SnapshotCopySettings,
    data: &Path,
) -> Result<Option<Arc<dyn clusters::SnapshotCopies>>, Error> {
    let (Some(place), Some(key)) = (&settings.place, &settings.key) else {
        return Ok(None);
    };
    let place = match place {
        CopyPlace::Directory(path) => Place::Directory(Directory::new(path.clone())),
        CopyPlace::Bucket(bucket, prefix) => {
            let amazon = || format!("https://s3.{}.amazonaws.com", settings.region);
            let s3 = S3::new(S3Settings {
                endpoint: settings.endpoint.clone().unwrap_or_else(amazon),
                region: settings.region.clone(),
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                credentials: settings.credentials.clone().unwrap_or_default(),
                authorities: settings.authorities.clone(),
            });
            Place::S3(Box::new(s3.map_err(Error::part(WHAT))?))
        }
    };
    let key = Key::read(key).map_err(Error::part(WHAT))?;
    let kept = usize::try_from(settings.kept).unwrap_or(usize::MAX);
    let copies = Copies::open(place, &key, &data.join(TRANSIT), kept);
    Ok(Some(Arc::new(Outside(copies.map_err(Error::part(WHAT))?))))
}

#[derive(Debug)]
struct Outside(Copies);

impl clusters::SnapshotCopies for Outside {
    fn location(&self, copy: &SnapshotCopy) -> String {
        self.0.location(copy)
    }

    fn put<'a>(&'a self, copy: &'a SnapshotCopy, from: Reader) -> BoxFuture<'a, Result<(), Failure>> {
        let put = self.0.put(copy, from);
        put.map(|done| done.map_err(|error| causes::line(&error))).boxed()
    }

    fn fetch<'a>(&'a self, copy: &'a SnapshotCopy, to: &'a mut Sink) -> BoxFuture<'a, Result<(), Failure>> {
        let fetch = self.0.fetch(copy, to);
        fetch
            .map(|done| done.map_err(|error| causes::line(&error)))
            .boxed()
    }
}
