//! What happens to the disks of a server that is given back.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;

/// What is done with the disks that a claim has written to, before its server is given back.
///
/// `none` is the default, because a wipe can't be taken back: without it the disks of a cluster that was deleted by mistake, or
/// of the control plane of which no other member is left, can still be read. It is also what EKS Anywhere does, and each wipe
/// takes one more boot of the machine, by hand where it has no BMC. Sites whose servers go from one owner to another, or
/// whose released machines might be powered on with their old system, set `quick`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WipePolicy {
    /// They stay as they are: keys, data and a system that boots.
    #[default]
    None,
    /// The machine boots the installer once more, and nothing on its disks can be started or found afterwards. A disk that
    /// can make itself read as zeros (most SSDs, NVMe and virtual disks) does so, in whole. On any other disk the content of
    /// every file is overwritten, where the kernel mounts the file system and writes in place (ext2 to ext4, xfs, vfat), and
    /// every other partition in whole; then partition tables, boot code and the signatures of file systems, md, LVM, ZFS
    /// and Ceph are cleared. On such a disk the blocks of files that were deleted earlier may keep what they held, and no
    /// overwriting reaches what the electronics of a disk have put out of use.
    Quick,
}

impl fmt::Display for WipePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Quick => "quick",
        })
    }
}

/// The text is no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be none or quick")]
pub struct ParseWipePolicyError;

impl FromStr for WipePolicy {
    type Err = ParseWipePolicyError;

    fn from_str(text: &str) -> Result<Self, ParseWipePolicyError> {
        [Self::None, Self::Quick]
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or(ParseWipePolicyError)
    }
}

/// A server that was given back although its wipe policy was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unwiped {
    /// Name of the owner whose system and keys may still be on the disks; it may be gone.
    pub owner: String,
    /// Why they were not wiped.
    pub reason: String,
    /// When the server was given back.
    pub at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_spell_policies_as_objects_do() {
        for policy in [WipePolicy::None, WipePolicy::Quick] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.to_string());
        }
        assert_eq!("full".parse::<WipePolicy>(), Err(ParseWipePolicyError));
    }
}
