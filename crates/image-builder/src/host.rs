//! Programs of the machine that builds: which are missing, from which Debian package they come, installing them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::part::Part;

/// Lowest Go that the modules accept.
const GO: &str = "1.26";

/// A file that must exist: a program, or an absolute path.
struct Need {
    what: &'static str,
    package: &'static str,
}

const fn need(what: &'static str, package: &'static str) -> Need {
    Need { what, package }
}

const CC: Need = need("gcc", "gcc");
const LIBC: Need = need("/usr/include/stdlib.h", "libc6-dev");
const MUSL: Need = need("musl-gcc", "musl-tools");
const TAR: Need = need("tar", "tar");
const UNSHARE: Need = need("unshare", "util-linux");
const ZSTD: Need = need("zstd", "zstd");
const XZ: Need = need("xz", "xz-utils");
const MMDEBSTRAP: Need = need("mmdebstrap", "mmdebstrap");
const KEYRING: Need = need(
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "debian-archive-keyring",
);
const SFDISK: Need = need("sfdisk", "fdisk");
const MKFS_FAT: Need = need("mkfs.fat", "dosfstools");
const MCOPY: Need = need("mcopy", "mtools");
const MKE2FS: Need = need("mke2fs", "e2fsprogs");

fn needs(part: Part) -> &'static [Need] {
    match part {
        Part::Kubernetes | Part::Etcd | Part::Coredns | Part::Cilium => &[],
        Part::Flannel => &[CC, LIBC],
        Part::Debian => &[MMDEBSTRAP, KEYRING, ZSTD, TAR, UNSHARE],
        Part::Containers => &[MUSL, TAR, ZSTD, UNSHARE],
        Part::Boot => &[TAR, ZSTD, XZ],
        Part::NodeDebian => &[TAR, ZSTD, UNSHARE, SFDISK, MKFS_FAT, MCOPY, MKE2FS],
    }
}

/// Directories of programs; `sbin` too, which is not in every user's PATH.
fn program_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders
}

fn present(what: &str, folders: &[PathBuf]) -> bool {
    Path::new(what).is_absolute() && Path::new(what).exists()
        || folders.iter().any(|folder| folder.join(what).exists())
}

fn missing(parts: &[Part]) -> BTreeSet<&'static str> {
    let folders = program_folders();
    let all = parts.iter().flat_map(|&part| needs(part));
    all.filter(|need| !present(need.what, &folders))
        .map(|need| need.package)
        .collect()
}

/// Makes sure that the programs for building `parts` are there; as root installs what is missing by apt.
///
/// # Errors
/// If something is missing and this is not root, or apt fails. The error names the packages.
pub fn ensure_host_packages(parts: &[Part], line: &mut dyn FnMut(&str)) -> Result<()> {
    let packages = missing(parts);
    if packages.is_empty() {
        return Ok(());
    }
    let error = || Error::HostPackages {
        packages: packages.iter().copied().collect::<Vec<_>>().join(" "),
    };
    if !nix::unistd::geteuid().is_root() || !present("apt-get", &program_folders()) {
        return Err(error());
    }
    let never = AtomicBool::new(false);
    let apt = || {
        Run::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("-qq")
    };
    apt().arg("update").lines(&never, line)?;
    apt()
        .args(["-y", "install", "--no-install-recommends"])
        .args(&packages)
        .lines(&never, line)?;
    if missing(parts).is_empty() {
        Ok(())
    } else {
        Err(error())
    }
}

/// The Go command, new enough.
pub(crate) fn go(part: Part) -> Result<PathBuf> {
    let mut folders = program_folders();
    folders.push("/usr/local/go/bin".into());
    let mut found = Vec::new();
    for folder in folders {
        let go = folder.join("go");
        if !go.exists() {
            continue;
        }
        let version = Run::new(&go)
            .arg("version")
            .env("GOTOOLCHAIN", "local")
            .output(&AtomicBool::new(false))
            .unwrap_or_default();
        if new_enough(&version) {
            return Ok(go);
        }
        found.push(format!("{}: {}", go.display(), version.trim()));
    }
    let found = if found.is_empty() {
        "no go in PATH or /usr/local/go/bin".to_owned()
    } else {
        found.join("; ")
    };
    Err(Error::Go {
        part: part.name().to_owned(),
        needed: GO,
        found,
    })
}

/// Reads `go version go1.26.8 linux/amd64`.
fn new_enough(output: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        text.split(['.', '-'])
            .map_while(|part| part.parse().ok())
            .collect()
    };
    let version = output
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))
        .map(|rest| format!("1.{rest}"));
    version.is_some_and(|version| numbers(&version) >= numbers(GO))
}

/// The Debian archive that this host's apt uses: the first of its sources whose path ends in `/debian`. Empty when
/// there is none.
pub(crate) fn debian_mirror() -> String {
    let folder = std::fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<_> = folder.map(|entry| entry.path()).collect();
    files.push("/etc/apt/sources.list".into());
    files.sort();
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts
        .into_iter()
        .find_map(|text| archive(&text))
        .unwrap_or_default()
}

/// The archive in a file of sources, in either of apt's formats (sources.list(5)).
fn archive(text: &str) -> Option<String> {
    let sources = text
        .lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "));
    sources
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_compared_as_numbers() {
        for (output, enough) in [
            ("go version go1.26.8 linux/amd64", true),
            ("go version go1.26 linux/amd64", true),
            ("go version go1.100.1 linux/amd64", true),
            ("go version go1.19.8 linux/amd64", false),
            ("go version go1.9 linux/amd64", false),
            ("", false),
        ] {
            assert_eq!(new_enough(output), enough, "{output}");
        }
    }

    #[test]
    fn programs_are_found_by_name_and_files_by_path() {
        let folders = program_folders();
        assert!(present("sh", &folders));
        assert!(present("/proc/self/status", &folders));
        assert!(!present("no-such-program", &folders) && !present("/no/such/file", &folders));
    }

    #[test]
    fn both_formats_of_sources_name_their_archive() {
        let one = "deb [trusted=yes] http://mirror.example/debian trixie main\n";
        let other = "URIs: http://mirror.example/debian-security\nURIs: https://mirror.example/debian/\n";
        assert_eq!(archive(one).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(archive(other).as_deref(), Some("https://mirror.example/debian/"));
        assert_eq!(archive("# deb http://mirror.example/debian x\n"), None);
    }
}
