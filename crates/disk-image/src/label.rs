//! Labels of file systems, so that what lies on a disk can be called by the name that its owner knows.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

/// Label of the ext2, ext3, ext4, XFS or FAT file system that begins with these bytes; 2 KiB are enough.
#[must_use]
pub fn file_system_label(start: &[u8]) -> Option<String> {
    let has = |at: usize, magic: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(magic));
    let (at, length) = if has(1024 + 56, &[0x53, 0xef]) {
        (1024 + 120, 16)
    } else if has(0, b"XFSB") {
        (108, 12)
    } else if has(82, b"FAT32   ") {
        (71, 11)
    } else if has(54, b"FAT1") {
        (43, 11)
    } else {
        return None;
    };
    let field = start.get(at..)?.get(..length)?;
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let printable = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
    // Foreign bytes must not reach a terminal.
    let text: String = text
        .iter()
        .filter(printable)
        .map(|byte| char::from(*byte))
        .collect();
    let text = text.trim_end();
    (!text.is_empty() && text != "NO NAME").then(|| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::process::Command;

    use super::*;

    const PROBE: usize = 2048;

    /// The start of a file system that the tool made; `None` where there is no such tool.
    fn made(tool: &[&str]) -> Option<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file-system");
        std::fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
        let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(tool[0]);
        let Ok(out) = command.env("PATH", path).args(&tool[1..]).arg(&file).output() else {
            eprintln!("SKIPPED: there is no {}", tool[0]);
            return None;
        };
        assert!(out.status.success(), "{tool:?}: {out:?}");
        Some(std::fs::read(&file).unwrap()[..PROBE].to_vec())
    }

    #[test]
    fn labels_as_the_tools_write_them() {
        for (tool, label) in [
            (
                &["mke2fs", "-q", "-F", "-t", "ext4", "-L", "gantry-root"][..],
                Some("gantry-root"),
            ),
            (&["mke2fs", "-q", "-F", "-t", "ext2"], None),
            (&["mkfs.fat", "-F", "32", "-n", "GANTRY-ESP"], Some("GANTRY-ESP")),
            (&["mkfs.fat", "-F", "16", "-n", "A B"], Some("A B")),
            (&["mkfs.fat", "-F", "32"], None),
        ] {
            if let Some(start) = made(tool) {
                assert_eq!(file_system_label(&start).as_deref(), label, "{tool:?}");
            }
        }
    }

    #[test]
    fn nothing_else_has_a_label() {
        assert_eq!(file_system_label(&[]), None);
        assert_eq!(file_system_label(&[0; PROBE]), None);
        let mut escape = vec![0; PROBE];
        escape[1080..1082].copy_from_slice(&[0x53, 0xef]);
        escape[1144..1148].copy_from_slice(b"a\x1b[b");
        assert_eq!(file_system_label(&escape).as_deref(), Some("a[b"));
        assert_eq!(file_system_label(&escape[..1150]), None, "cut off");
    }
}
