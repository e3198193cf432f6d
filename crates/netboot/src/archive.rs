//! The cpio archive (format newc, Linux' `Documentation/driver-api/early-userspace/buffer-format.rst`) that puts the site CA into the
//! installer's file system. It is made when the service starts, so the installer itself carries no site's CA.

use std::fmt::Write as _;

use crate::error::Error;

/// Where the agent looks for the site CA.
const SITE_CA_PATH: &str = "etc/gantry/site-ca.pem";
const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_444;

/// The archive with `/etc/gantry/site-ca.pem`.
///
/// # Errors
/// If `pem` holds no certificate.
pub fn site_ca_archive(pem: &str) -> Result<Vec<u8>, Error> {
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Error::SiteCa);
    }
    let mut archive = Vec::new();
    // The kernel makes no parents.
    entry(&mut archive, 1, "etc", DIRECTORY, &[]);
    entry(&mut archive, 2, "etc/gantry", DIRECTORY, &[]);
    entry(&mut archive, 3, SITE_CA_PATH, FILE, pem.as_bytes());
    entry(&mut archive, 0, "TRAILER!!!", 0, &[]);
    let whole = archive.len().next_multiple_of(512);
    archive.resize(whole, 0);
    Ok(archive)
}

fn entry(archive: &mut Vec<u8>, inode: u32, name: &str, mode: u32, content: &[u8]) {
    let links = if mode == DIRECTORY { 2 } else { 1 };
    let mut header = String::from("070701");
    // inode, mode, uid, gid, links, time, size, device and special device (major, minor), name with zero, checksum.
    for value in [
        inode as usize,
        mode as usize,
        0,
        0,
        links,
        0,
        content.len(),
        0,
        0,
        0,
        0,
        name.len().saturating_add(1),
        0,
    ] {
        let _ = write!(header, "{value:08x}");
    }
    archive.extend(header.as_bytes());
    archive.extend(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend(content);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    let whole = archive.len().next_multiple_of(4);
    archive.resize(whole, 0);
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n";

    #[test]
    fn refuses_what_is_no_certificate() {
        assert!(site_ca_archive("").is_err());
        assert!(site_ca_archive("-----BEGIN PRIVATE KEY-----").is_err());
    }

    #[test]
    fn another_reader_finds_the_file() {
        let archive = site_ca_archive(PEM).unwrap();
        assert_eq!(archive.len() % 512, 0);
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("busybox")
            .args(["cpio", "-idm"])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: busybox is not installed");
            return;
        };
        child.stdin.take().unwrap().write_all(&archive).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(
            std::fs::read_to_string(dir.path().join(SITE_CA_PATH)).unwrap(),
            PEM
        );
    }
}
