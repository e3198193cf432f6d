//! One Debian tree with everything that the node, the containers and the installer take from Debian. Packages
//! are today's of the release: a rebuild with `--force` takes security updates in.

use crate::command::Run;
use crate::error::Result;
use crate::parts::job::{DEBIAN_TREE, Job};
use crate::recipe;

/// Debian release of nodes and installer.
const SUITE: &str = "trixie";

/// Makes the tree and the list of what is in it.
pub(crate) fn build(job: &Job<'_>) -> Result<()> {
    job.step(format!("download and unpack Debian {SUITE}"));
    let script = recipe::unpack("debian/make.sh", &job.work)?;
    let packages = recipe::unpack("debian/packages.list", &job.work)?;
    let run = Run::contained_script(&script)
        .arg(&job.mirror)
        .arg(SUITE)
        .arg(packages)
        .arg(job.out.join(DEBIAN_TREE));
    // mmdebstrap unpacks below this.
    job.run(run.env("TMPDIR", &job.work))
}
