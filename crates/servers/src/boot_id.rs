//! Boot ids: public names of boots, which nobody can guess before they are given out.

/// 128 random bits in hex.
pub(crate) fn mint() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
