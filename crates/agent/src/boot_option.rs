//! UEFI boot options (UEFI specification, 3.1.3 and 10.3), as pure functions of bytes.

use std::collections::BTreeMap;

/// Name by which our options are known again.
const DESCRIPTION: &str = "Gantry";
/// LOAD_OPTION_ACTIVE.
const ACTIVE: u32 = 1;
/// The file that images always carry.
const LOADER: &str = r"\EFI\BOOT\BOOTX64.EFI";

/// An option that starts the fallback loader of one EFI system partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOption {
    /// Number of the partition.
    pub partition: u32,
    /// First sector.
    pub first: u64,
    /// Sectors.
    pub sectors: u64,
    /// Unique GUID, as on disk.
    pub guid: [u8; 16],
}

/// Content of the variables that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootOptions {
    /// `Boot####`.
    pub options: BTreeMap<u16, Vec<u8>>,
    /// `BootOrder`.
    pub order: Vec<u16>,
}

impl LoadOption {
    /// EFI_LOAD_OPTION with a hard-drive and a file-path node.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut path = vec![4, 1, 42, 0];
        path.extend(self.partition.to_le_bytes());
        path.extend(self.first.to_le_bytes());
        path.extend(self.sectors.to_le_bytes());
        path.extend(self.guid);
        path.extend([2, 2]);
        let file = utf16(LOADER);
        path.extend([4, 4]);
        path.extend(u16::try_from(file.len() + 4).unwrap_or(u16::MAX).to_le_bytes());
        path.extend(file);
        path.extend([0x7f, 0xff, 4, 0]);
        let mut option = ACTIVE.to_le_bytes().to_vec();
        option.extend(u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
        option.extend(utf16(DESCRIPTION));
        option.extend(path);
        option
    }
}

/// The variables as they must become: our option first in the order, older ones of ours gone, all others as they were.
/// Run twice it changes nothing.
#[must_use]
pub fn plan_boot_options(now: &BootOptions, wanted: &LoadOption) -> BootOptions {
    let content = wanted.encode();
    let same = now
        .options
        .iter()
        .find(|(_, option)| **option == content)
        .map(|(number, _)| *number);
    let stale = now
        .options
        .iter()
        .find(|(_, option)| is_ours(option))
        .map(|(number, _)| *number);
    let free = || {
        (0..=u16::MAX)
            .find(|number| !now.options.contains_key(number))
            .unwrap_or(u16::MAX)
    };
    let number = same.or(stale).unwrap_or_else(free);
    let mut options: BTreeMap<u16, Vec<u8>> = now
        .options
        .iter()
        .filter(|(_, option)| !is_ours(option))
        .map(|(number, option)| (*number, option.clone()))
        .collect();
    options.insert(number, content);
    let mut order = vec![number];
    order.extend(
        now.order
            .iter()
            .copied()
            .filter(|other| *other != number && options.contains_key(other)),
    );
    BootOptions { options, order }
}

/// The boot options without those of Gantry.
#[must_use]
pub fn without_our_boot_options(now: &BootOptions) -> BootOptions {
    let gone = |number: &u16| now.options.get(number).is_some_and(|option| is_ours(option));
    let mut left = now.clone();
    left.options.retain(|number, _| !gone(number));
    left.order.retain(|number| !gone(number));
    left
}

fn is_ours(option: &[u8]) -> bool {
    description(option).as_deref() == Some(DESCRIPTION)
}

/// Text of an EFI_LOAD_OPTION.
fn description(option: &[u8]) -> Option<String> {
    let units = option.get(6..)?.chunks_exact(2).map(|pair| match pair {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16(&text).ok()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esp(guid: u8) -> LoadOption {
        LoadOption {
            partition: 2,
            first: 4096,
            sectors: 131_072,
            guid: [guid; 16],
        }
    }

    fn foreign(name: &str) -> Vec<u8> {
        let mut option = vec![1, 0, 0, 0, 0, 0];
        option.extend(utf16(name));
        option
    }

    #[test]
    fn the_layout_is_the_specification_s() {
        let option = esp(7).encode();
        assert_eq!(option[..4], [1, 0, 0, 0]);
        let length = usize::from(u16::from_le_bytes([option[4], option[5]]));
        assert_eq!(description(&option).as_deref(), Some("Gantry"));
        let path = &option[option.len() - length..];
        assert_eq!(path[..4], [4, 1, 42, 0]);
        assert_eq!(path[24..40], [7; 16]);
        assert_eq!(path[40..42], [2, 2]);
        assert_eq!(path[42..46], [4, 4, 48, 0]);
        assert_eq!(path[path.len() - 4..], [0x7f, 0xff, 4, 0]);
    }

    #[test]
    fn ours_comes_first_and_old_ones_go() {
        let now = BootOptions {
            options: BTreeMap::from([
                (0, foreign("UiApp")),
                (1, foreign("PXE")),
                (3, esp(1).encode()),
                (4, esp(2).encode()),
            ]),
            order: vec![1, 4, 3, 0, 9],
        };
        let after = plan_boot_options(&now, &esp(5));
        assert_eq!(after.order, [3, 1, 0]);
        assert_eq!(after.options.keys().copied().collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(after.options[&3], esp(5).encode());
        assert_eq!(plan_boot_options(&after, &esp(5)), after);
        let first = plan_boot_options(&BootOptions::default(), &esp(5));
        assert_eq!(first.order, [0]);

        let left = without_our_boot_options(&now);
        assert_eq!(left.order, [1, 0, 9]);
        assert_eq!(left.options.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(without_our_boot_options(&left), left);
    }
}
