//! Other disks of the machine that hold a system of Gantry: an earlier installation, or a disk of another node. The new
//! system boots by the GUID of its own root, but who reads the record should know that there are two.

use std::path::Path;

use agent_protocol::v1::Disk;

/// Labels of the file systems in Gantry's node image.
const LABELS: [&str; 2] = ["label \"gantry-root\"", "label \"GANTRY-ESP\""];

/// One line for each such disk but `target`.
pub(super) fn lines(disks: &[Disk], target: &Path) -> Vec<String> {
    let others = disks.iter().filter(|disk| Path::new(&disk.device) != target);
    others
        .filter_map(|disk| {
            let of_gantry = |line: &&String| LABELS.iter().any(|label| line.ends_with(label));
            let found: Vec<&str> = disk
                .contents
                .iter()
                .filter(of_gantry)
                .map(String::as_str)
                .collect();
            (!found.is_empty()).then(|| {
                format!(
                    "{} ({}) holds a system of Gantry too: {}; it stays as it is and is not used",
                    disk.device,
                    disk.names.first().map_or("without a stable name", String::as_str),
                    found.join("; ")
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(device: &str, contents: &[&str]) -> Disk {
        Disk {
            device: device.to_owned(),
            names: vec![format!("/dev/disk/by-id/{}", device.trim_start_matches("/dev/"))],
            contents: contents.iter().map(|line| (*line).to_owned()).collect(),
            ..Disk::default()
        }
    }

    #[test]
    fn other_disks_with_the_labels_of_the_node_image_are_named() {
        let node = [
            "GPT",
            "partition 1 \"esp\": vfat, label \"GANTRY-ESP\"",
            "partition 2 \"root\": ext2, ext3 or ext4, label \"gantry-root\"",
        ];
        let disks = [
            disk("/dev/sda", &node),
            disk("/dev/sdb", &node),
            disk("/dev/sdc", &["xfs, label \"data\""]),
            disk("/dev/sdd", &[]),
        ];
        let lines = lines(&disks, Path::new("/dev/sda"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [
            "/dev/sdb",
            "/dev/disk/by-id/sdb",
            "GANTRY-ESP",
            "partition 2",
            "not used",
        ] {
            assert!(lines[0].contains(part), "{part:?} is missing in {lines:?}");
        }
    }
}
