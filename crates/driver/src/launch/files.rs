//! The files that a driver may use, held by Landlock where the kernel has it. It may listen on no TCP port.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, path_beneath_rules,
};

/// Programs, libraries and settings of the system.
const SYSTEM: [&str; 9] = [
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc",
    "/proc",
    "/sys",
    "/run/systemd/resolve",
];
/// Devices that programs use.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// The newest version whose rights are asked for; an older kernel holds those that it knows.
const NEWEST: ABI = ABI::V6;

/// Restricts this process, and says how far the kernel does so. Paths that do not exist are passed over.
pub(super) fn restrict(readable: &[PathBuf], writable: &[PathBuf]) -> Result<&'static str, RulesetError> {
    let readable = SYSTEM
        .iter()
        .map(Path::new)
        .chain(readable.iter().map(PathBuf::as_path));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::BindTcp)?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(
            DEVICES,
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))?
        .add_rules(path_beneath_rules(writable, AccessFs::from_all(NEWEST)))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "fully enforced",
        RulesetStatus::PartiallyEnforced => "partly enforced",
        RulesetStatus::NotEnforced => "not in this kernel",
    })
}
