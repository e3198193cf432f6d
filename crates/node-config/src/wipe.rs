//! The workflow that takes a system off the disks of a machine that is given back.

use std::fmt::Write as _;

use resources::gantry::PinnedDisk;

use crate::install::quoted;

/// Bytes that the slowest disk overwrites in a second, where all of it has to be.
const SLOW_DISK: u64 = 50_000_000;

/// The Template's text: one action for each disk, by the name that it is pinned under. `patience` multiplies the timeouts;
/// 1 on real machines.
#[must_use]
pub fn template(workflow: &str, disks: &[&PinnedDisk], patience: u32) -> String {
    let name = quoted(workflow);
    let timeout = |disk: &PinnedDisk| (600 + disk.size / SLOW_DISK).saturating_mul(patience.max(1).into());
    let all: u64 = disks.iter().map(|disk| timeout(disk)).sum();
    let mut text = format!(
        "version: \"0.1\"\nname: {name}\nglobal_timeout: {}\ntasks:\n- name: {name}\n  worker: \"{{{{.device_1}}}}\"\n  actions:\n",
        all.saturating_add(600)
    );
    for (number, disk) in (1..).zip(disks) {
        let _ = write!(
            text,
            "  - name: wipe-disk-{number}\n    image: gantry/wipe\n    timeout: {}\n    environment:\n      DEST_DISK: {}\n",
            timeout(disk),
            quoted(&disk.name)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disk_has_an_action_with_time_for_all_of_it_and_no_name_opens_a_template() {
        let disk = |name: &str, size| PinnedDisk {
            name: name.to_owned(),
            size,
            ..PinnedDisk::default()
        };
        let (one, other) = (disk("/dev/sda", 50_000_000_000), disk("/dev/{{ x }}", 0));
        let text = template("prod-1-wipe-1", &[&one, &other], 2);
        for part in [
            "global_timeout: 5000\n",
            "name: wipe-disk-1\n    image: gantry/wipe\n    timeout: 3200\n    environment:\n      DEST_DISK: \"/dev/sda\"\n",
            "name: wipe-disk-2\n    image: gantry/wipe\n    timeout: 1200\n",
            "DEST_DISK: \"/dev/\\u007b\\u007b x \\u007d\\u007d\"\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }
}
