//! `gantry snapshot open COPY`: the snapshot that is in a copy, without an appliance.

use std::path::{Path, PathBuf};

use clap::Args;
use resources::gantry::SnapshotCopy;
use snapshot_copies::{Copies, Directory, Key, Place};
use tokio::io::AsyncWriteExt as _;

use crate::failure::{Failure, Outcome};
use crate::output;

/// Parts of a path that say which copy it is.
const PARTS: usize = 4;

#[derive(Debug, Args)]
#[command(
    after_help = "The path must end as it does where the copy lies: NAMESPACE/CLUSTER/ID/TIME-BYTES-SHA256.sealed\n\nExamples:\n  \
                  gantry snapshot open eksa-system/prod/ID/FILE.sealed --key-file snapshots.key -o snapshot.db"
)]
pub(crate) struct OpenArgs {
    /// The copy; one in a bucket is downloaded first, with any tool.
    copy: PathBuf,
    /// The key that it was sealed with (etcdSnapshotKeyFile).
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// File to write (0600), as `etcdutl snapshot restore` takes it.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) async fn run(args: &OpenArgs) -> Outcome {
    let path = std::path::absolute(&args.copy)?;
    let known = SnapshotCopy::read(&path.to_string_lossy());
    let (Some(copy), Some(root)) = (known, path.ancestors().nth(PARTS)) else {
        return Err(Failure::BadInput(format!(
            "{} is no path of a copy: it ends in NAMESPACE/CLUSTER/ID/TIME-BYTES-SHA256.sealed",
            args.copy.display()
        )));
    };
    let bad = |error: snapshot_copies::Error| Failure::BadInput(causes::line(&error));
    let key = Key::read(&args.key_file).map_err(bad)?;
    let folder = args
        .output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let transit = tempfile::tempdir_in(folder.unwrap_or(Path::new(".")))?;
    let place = Place::Directory(Directory::new(root.to_owned()));
    let copies = Copies::open(place, &key, &transit.path().join("copy"), 1).map_err(bad)?;
    let mut options = tokio::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.output)
        .await;
    let mut file = file.map_err(|error| Failure::BadInput(format!("{}: {error}", args.output.display())))?;
    let fetched = copies.fetch(&copy, &mut file).await;
    let written = async {
        fetched.map_err(bad)?;
        file.flush().await?;
        Ok(file.sync_all().await?)
    };
    let written: Outcome = written.await;
    if written.is_err() {
        // What is in it is of no use.
        let _ = tokio::fs::remove_file(&args.output).await;
    }
    written?;
    output::line(format!(
        "{}: {} bytes, {}, of cluster {} in {}, taken at {}",
        args.output.display(),
        copy.size,
        copy.sha256,
        copy.cluster,
        copy.namespace,
        copy.taken_at
    ));
    Ok(())
}
