//! `seed`: leave in the installed file system what its first boot needs, readable by root alone: cloud-init's NoCloud
//! seed, and with `FIRST_BOOT_SCRIPT` a key and certificate of this attempt with the script that uses them.
//!
//! The key goes to the disk before the certificate is asked for: cut off in between, the next run finds the key and gets
//! the same certificate.

use std::io::Read;

use agent_protocol::environment::{
    DEST_DISK, FIRST_BOOT_DIRECTORY, FIRST_BOOT_SCRIPT, FIRST_BOOT_SCRIPT_PATH, FS_TYPE, META_DATA,
    NETWORK_CONFIG, SEED_DIRECTORY, USER_DATA,
};

use super::{ActionContext, Outcome};
use crate::{Error, FileTree, MachineKey, NewFile};

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let meta_data = context.required(META_DATA)?;
    let fs_type = context.required(FS_TYPE)?;
    let device = context.device(DEST_DISK)?;
    context.admit()?;
    let mounted = context.host.mount(&device, fs_type, false)?;
    let tree = FileTree::open(mounted.path())?;
    if let Some(script) = context.optional(FIRST_BOOT_SCRIPT) {
        first_boot(context, &tree, script)?;
    }
    let user_data = context.optional(USER_DATA).unwrap_or("#cloud-config\n{}\n");
    // meta-data comes last: with it cloud-init takes the seed for real.
    let files = [
        ("network-config", context.optional(NETWORK_CONFIG)),
        ("user-data", Some(user_data)),
        ("meta-data", Some(meta_data)),
    ];
    for (name, contents) in files {
        if let Some(contents) = contents {
            place(&tree, &format!("{SEED_DIRECTORY}/{name}"), contents, 0o600)?;
        }
    }
    drop(tree);
    mounted.close()?;
    Ok(Outcome::done(format!(
        "first-boot seed left on {}",
        device.display()
    )))
}

fn first_boot(context: &ActionContext, tree: &FileTree, script: &str) -> Result<(), Error> {
    let path = |name: &str| format!("{FIRST_BOOT_DIRECTORY}/{name}");
    let key = match context
        .resumed
        .then(|| key_on_disk(tree, &path("key.pem")))
        .flatten()
    {
        Some(key) => key,
        None => {
            let key = MachineKey::generate()?;
            place(tree, &path("key.pem"), &key.pem(), 0o600)?;
            key
        }
    };
    let issued = (context.issue_first_boot)(key.request_pem()?)?;
    context.board.log("first-boot certificate issued");
    let settings = serde_json::json!({
        "endpoints": issued.endpoints,
        "siteName": issued.site_name,
    });
    place(tree, &path("certificate.pem"), &issued.certificate_pem, 0o600)?;
    place(tree, &path("ca.pem"), &issued.ca_pem, 0o600)?;
    place(tree, &path("first-boot.json"), &format!("{settings}\n"), 0o600)?;
    place(tree, FIRST_BOOT_SCRIPT_PATH, script, 0o700)
}

fn key_on_disk(tree: &FileTree, path: &str) -> Option<MachineKey> {
    let mut pem = String::new();
    tree.read(path).ok()?.read_to_string(&mut pem).ok()?;
    MachineKey::from_pem(&pem).ok()
}

fn place(tree: &FileTree, path: &str, contents: &str, mode: u32) -> Result<(), Error> {
    // Directories on the way to root's own stay open to others, as distributions have them.
    let private = path.starts_with(SEED_DIRECTORY) || path.starts_with(FIRST_BOOT_DIRECTORY);
    let (parent, _) = path.rsplit_once('/').unwrap_or_default();
    let (above, _) = parent.rsplit_once('/').unwrap_or_default();
    if private {
        tree.make_directory(above, 0o755)?;
    }
    tree.place(&NewFile {
        path,
        contents: contents.as_bytes(),
        uid: 0,
        gid: 0,
        mode,
        directory_mode: if private { 0o700 } else { 0o755 },
    })
    .map(|_| ())
}
