//! Reads from GRUB's configuration what it would start without a key press. Only what distributions generate: the first
//! `linux` line and the `initrd` line that follows it.

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelEntry {
    /// Path of the kernel, relative to the file system that GRUB reads.
    pub kernel: String,
    /// Path of the initramfs.
    pub initrd: Option<String>,
    /// Kernel arguments.
    pub command_line: String,
}

/// The first entry. Variables of GRUB in the arguments are left out, for only GRUB could expand them.
#[must_use]
pub fn first_entry(config: &str) -> Option<KernelEntry> {
    let mut lines = config.lines().map(str::trim);
    let linux = lines.by_ref().find_map(|line| command(line, "linux"))?;
    let mut words = linux.split_whitespace();
    let kernel = local_path(words.next()?);
    let arguments: Vec<&str> = words.filter(|word| !word.contains('$')).collect();
    let initrd = lines
        .take_while(|line| !line.starts_with('}'))
        .find_map(|line| command(line, "initrd"))
        .and_then(|rest| rest.split_whitespace().next())
        .map(local_path);
    Some(KernelEntry {
        kernel,
        initrd,
        command_line: arguments.join(" "),
    })
}

/// The rest of the line after `name`, `name16` or `nameefi`.
fn command<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (word, rest) = line.split_once(char::is_whitespace)?;
    let suffix = word.strip_prefix(name)?;
    matches!(suffix, "" | "16" | "efi").then_some(rest)
}

/// Without a device in front, such as `($root)`.
fn local_path(path: &str) -> String {
    match path.split_once(')') {
        Some((device, rest)) if device.starts_with('(') => rest.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_configuration() {
        let config = "set default=0\nmenuentry 'Debian' --class debian {\n\tload_video\n\tinsmod ext2\n\
            \techo 'Loading Linux ...'\n\tlinux\t/boot/vmlinuz-6.12 root=UUID=1234 ro console=ttyS0 $vt_handoff\n\
            \techo 'Loading initial ramdisk'\n\tinitrd\t/boot/initrd.img-6.12\n}\n\
            menuentry 'old' {\n linux /boot/vmlinuz-6.1 ro\n}\n";
        assert_eq!(
            first_entry(config),
            Some(KernelEntry {
                kernel: "/boot/vmlinuz-6.12".into(),
                initrd: Some("/boot/initrd.img-6.12".into()),
                command_line: "root=UUID=1234 ro console=ttyS0".into(),
            })
        );
    }

    #[test]
    fn a_hand_written_one() {
        let config = "linux ($root)/vmlinuz root=LABEL=root\nboot\n}\ninitrd /other\n";
        assert_eq!(
            first_entry(config),
            Some(KernelEntry {
                kernel: "/vmlinuz".into(),
                initrd: None,
                command_line: "root=LABEL=root".into(),
            })
        );
        assert_eq!(first_entry("linuxrc /x\nset linux=1\n"), None);
    }
}
