//! `writefile`: put one file into a file system of the installed disk.
//!
//! The settings are Tinkerbell's. The path can't lead out of the file system, and a file that is there just so is left
//! alone.

use agent_protocol::environment::{CONTENTS, DEST_DISK, DEST_PATH, DIRMODE, FS_TYPE, GID, MODE, UID};

use super::{ActionContext, Outcome};
use crate::{Error, FileTree, NewFile, Placed};

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let path = context.required(DEST_PATH)?;
    let file = NewFile {
        path,
        contents: context.optional(CONTENTS).unwrap_or_default().as_bytes(),
        uid: context.parsed(UID, "a numeric user")?.unwrap_or(0),
        gid: context.parsed(GID, "a numeric group")?.unwrap_or(0),
        mode: context.mode(MODE, 0o644)?,
        directory_mode: context.mode(DIRMODE, 0o755)?,
    };
    let fs_type = context.required(FS_TYPE)?;
    let device = context.device(DEST_DISK)?;
    context.admit()?;
    let mounted = context.host.mount(&device, fs_type, false)?;
    let placed = FileTree::open(mounted.path())?.place(&file)?;
    mounted.close()?;
    Ok(Outcome::done(match placed {
        Placed::Written => format!("{path} written to {}", device.display()),
        Placed::AlreadyThere => format!("{path} is on {} already", device.display()),
    }))
}
