//! Names of folders. Pure.

use crate::Error;

/// Longest part of a name; file systems take as much.
const PART: usize = 253;

/// A name that stays within the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let is_letter =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        // A leading '.' would be the folder itself, its parent, or a hidden file.
        let is_part = |part: &str| {
            (1..=PART).contains(&part.len()) && !part.starts_with('.') && part.bytes().all(is_letter)
        };
        if name.split('/').all(is_part) {
            return Ok(Self(name.to_owned()));
        }
        Err(Error::Name {
            name: name.to_owned(),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_the_directory() {
        for good in ["eksa-system/demo", "a", "a/b.c/d-1"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(PART + 1);
        for bad in [
            "", "/", "/a", "a/", "a//b", "..", "a/../b", "a/.", ".new", "A", "a b", "a\0", "a\\b", "ä", &long,
        ] {
            let error = Name::new(bad).unwrap_err();
            assert!(matches!(&error, Error::Name { name } if name == bad), "{error}");
        }
    }
}
