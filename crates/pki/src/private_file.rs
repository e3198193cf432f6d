//! Files that only their owner may read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes a file with mode 0600; it appears complete or not at all, and replaces one that is there.
///
/// # Errors
/// When the folder is missing or the file system refuses.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    write_new(&draft, content)?;
    fs::rename(&draft, path)
}

/// Writes a file with mode 0600. What lies at `path` is a draft of a process that was killed, and nobody's.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_and_stays_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.kubeconfig");
        fs::write(&path, "open to all").unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft is left"
        );
    }
}
