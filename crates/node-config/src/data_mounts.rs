//! Files by which an installed system mounts the file systems of its data disks: a mount unit for each, and two drop-ins that
//! tie them to the start of the system and of the kubelet.
//!
//! A system without its disk starts, so that somebody can look at it, but its kubelet does not: what pods write must not end up
//! on the system disk instead.

use std::fmt::Write as _;

use resources::gantry::DataMount;

/// Paths and contents, in the order in which they are written; none without mounts.
pub(crate) fn files(mounts: &[DataMount]) -> Vec<(String, String)> {
    if mounts.is_empty() {
        return Vec::new();
    }
    let unit = |mount: &DataMount| format!("{}.mount", escaped(&mount.path));
    let mut files: Vec<(String, String)> = mounts
        .iter()
        .map(|mount| (format!("/etc/systemd/system/{}", unit(mount)), mount_unit(mount)))
        .collect();
    let units: Vec<String> = mounts.iter().map(unit).collect();
    files.push((
        "/etc/systemd/system/local-fs.target.d/50-gantry-data-disks.conf".to_owned(),
        format!("[Unit]\nWants={}\n", units.join(" ")),
    ));
    let paths: Vec<&str> = mounts.iter().map(|mount| mount.path.as_str()).collect();
    files.push((
        "/etc/systemd/system/kubelet.service.d/50-gantry-data-disks.conf".to_owned(),
        format!("[Unit]\nRequiresMountsFor={}\n", paths.join(" ")),
    ));
    files
}

fn mount_unit(mount: &DataMount) -> String {
    let device = match mount.filesystem.split_once('=') {
        Some(("LABEL", label)) => format!("/dev/disk/by-label/{label}"),
        Some((_, uuid)) => format!("/dev/disk/by-uuid/{uuid}"),
        None => mount.filesystem.clone(),
    };
    let path = &mount.path;
    format!(
        "[Unit]\nDescription=File system of a data disk at {path}\nBefore=local-fs.target\n\n[Mount]\nWhat={device}\nWhere={path}\n"
    )
}

/// The name of a unit for a path, without its ending, as `systemd-escape --path` makes it.
fn escaped(path: &str) -> String {
    let mut name = String::new();
    for (at, c) in path.trim_matches('/').char_indices() {
        match c {
            '/' => name.push('-'),
            '.' if at > 0 => name.push(c),
            '_' | ':' => name.push(c),
            _ if c.is_ascii_alphanumeric() => name.push(c),
            _ => {
                for octet in c.to_string().bytes() {
                    let _ = write!(name, "\\x{octet:02x}");
                }
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn mount(path: &str, filesystem: &str) -> DataMount {
        DataMount {
            path: path.to_owned(),
            filesystem: filesystem.to_owned(),
        }
    }

    #[test]
    fn units_are_named_as_systemd_names_them() {
        let names = [
            ("/srv", "srv"),
            ("/srv/my-data", "srv-my\\x2ddata"),
            ("/.d/a.b", "\\x2ed-a.b"),
            ("/mnt/a_1/x", "mnt-a_1-x"),
        ];
        for (path, expected) in names {
            assert_eq!(escaped(path), expected);
        }
        let paths = names.map(|(path, _)| path);
        let real = Command::new("systemd-escape").arg("--path").args(paths).output();
        match real {
            Ok(output) => {
                let text = String::from_utf8(output.stdout).unwrap();
                let real: Vec<&str> = text.split_whitespace().collect();
                assert_eq!(real, names.map(|(_, name)| name));
            }
            Err(error) => eprintln!("SKIPPED the comparison with systemd-escape: {error}"),
        }
    }

    #[test]
    fn the_files_of_two_mounts() {
        let files = files(&[mount("/srv/my-data", "LABEL=data"), mount("/mnt/x", "UUID=12-ab")]);
        let folder = "/etc/systemd/system";
        let unit = |path: &str, device: &str| {
            format!(
                "[Unit]\nDescription=File system of a data disk at {path}\nBefore=local-fs.target\n\n[Mount]\nWhat={device}\nWhere={path}\n"
            )
        };
        let expected = [
            (
                "srv-my\\x2ddata.mount",
                unit("/srv/my-data", "/dev/disk/by-label/data"),
            ),
            ("mnt-x.mount", unit("/mnt/x", "/dev/disk/by-uuid/12-ab")),
            (
                "local-fs.target.d/50-gantry-data-disks.conf",
                "[Unit]\nWants=srv-my\\x2ddata.mount mnt-x.mount\n".to_owned(),
            ),
            (
                "kubelet.service.d/50-gantry-data-disks.conf",
                "[Unit]\nRequiresMountsFor=/srv/my-data /mnt/x\n".to_owned(),
            ),
        ];
        let expected = expected.map(|(name, text)| (format!("{folder}/{name}"), text));
        assert_eq!(files, expected);
    }

    #[test]
    fn nothing_is_written_without_mounts() {
        assert_eq!(files(&[]), []);
    }

    #[test]
    fn systemd_accepts_the_units() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files(&[mount("/srv/my-data", "LABEL=data")]) {
            let path = folder
                .path()
                .join(path.trim_start_matches("/etc/systemd/system/"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let kubelet = folder.path().join("kubelet.service");
        std::fs::write(&kubelet, "[Service]\nExecStart=/bin/true\n").unwrap();
        let units = [folder.path().join("srv-my\\x2ddata.mount"), kubelet];
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .args(units)
            .output();
        match verified {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{said}");
                assert_eq!(said, "");
            }
            Err(error) => eprintln!("SKIPPED: systemd-analyze does not run: {error}"),
        }
    }
}
