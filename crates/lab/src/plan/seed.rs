//! Named draws from a seed. Each draw depends on the seed and its own name only, so adding one changes no other.

use sha2::{Digest as _, Sha256};

pub(super) const HEX: &[u8] = b"0123456789abcdef";
pub(super) const UPPER: &[u8] = b"0123456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Letters and digits that need no quoting in CSV, YAML, URLs and shells.
pub(super) const PASSWORD: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

const WORDS: [&str; 32] = [
    "alder", "ash", "aspen", "beech", "birch", "bramble", "cedar", "cherry", "cypress", "elder", "elm",
    "fern", "fir", "hazel", "heather", "holly", "juniper", "larch", "laurel", "linden", "maple", "medlar",
    "mulberry", "myrtle", "oak", "olive", "pine", "plane", "poplar", "rowan", "spruce", "willow",
];

pub(super) struct Seed<'a>(&'a str);

impl<'a> Seed<'a> {
    pub(super) fn new(seed: &'a str) -> Self {
        Self(seed)
    }

    /// 32 bytes for this name.
    pub(super) fn bytes(&self, name: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in ["gantry lab 1", self.0, name] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    /// Up to 32 characters of an alphabet.
    pub(super) fn text(&self, name: &str, alphabet: &[u8], length: usize) -> String {
        self.bytes(name)
            .iter()
            .take(length)
            .map(|byte| pick(alphabet, *byte))
            .collect()
    }

    pub(super) fn word(&self, name: &str) -> &'static str {
        let [first, ..] = self.bytes(name);
        WORDS
            .get(usize::from(first) % WORDS.len())
            .copied()
            .unwrap_or("oak")
    }
}

fn pick(alphabet: &[u8], byte: u8) -> char {
    alphabet
        .get(usize::from(byte) % alphabet.len().max(1))
        .map_or('0', |c| char::from(*c))
}
