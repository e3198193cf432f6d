//! Tolerant reading of options (RFC 2132): a value that makes no sense spoils only itself.

/// Most options in one packet.
const MAX_OPTIONS: usize = 128;
/// Most bytes of one option after concatenation.
const MAX_VALUE: usize = 1024;

pub(crate) const PAD: u8 = 0;
pub(crate) const END: u8 = 255;

/// The options field is beyond the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// More options than any client sends.
    #[error("more than {MAX_OPTIONS} options")]
    TooMany,
    /// One option is longer than any client sends.
    #[error("an option longer than {MAX_VALUE} bytes")]
    TooLong,
}

/// Options of a packet, parts of one option concatenated (RFC 3396), in order of first appearance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    /// Reads the options field, then `file` and `sname` if option 52 says that they hold options.
    pub(crate) fn read(field: &[u8], file: &[u8], sname: &[u8]) -> Result<Self, OptionError> {
        let mut options = Self::default();
        let mut count = 0;
        options.append(field, &mut count)?;
        let overload = options
            .get(52)
            .and_then(|value| value.first().copied())
            .unwrap_or(0);
        if overload & 1 != 0 {
            options.append(file, &mut count)?;
        }
        if overload & 2 != 0 {
            options.append(sname, &mut count)?;
        }
        Ok(options)
    }

    fn append(&mut self, mut field: &[u8], count: &mut usize) -> Result<(), OptionError> {
        while let Some((&code, rest)) = field.split_first() {
            field = match code {
                PAD => rest,
                END => break,
                _ => {
                    let Some((&length, rest)) = rest.split_first() else {
                        break;
                    };
                    // A value that runs over the end of its field is dropped; there is nothing after it.
                    let Some((value, rest)) = rest.split_at_checked(usize::from(length)) else {
                        break;
                    };
                    *count = count.saturating_add(1);
                    if *count > MAX_OPTIONS {
                        return Err(OptionError::TooMany);
                    }
                    self.add(code, value)?;
                    rest
                }
            };
        }
        Ok(())
    }

    fn add(&mut self, code: u8, value: &[u8]) -> Result<(), OptionError> {
        let stored = match self.0.iter_mut().position(|(present, _)| *present == code) {
            Some(at) => self.0.get_mut(at),
            None => {
                self.0.push((code, Vec::new()));
                self.0.last_mut()
            }
        };
        if let Some((_, stored)) = stored {
            stored.extend_from_slice(value);
            if stored.len() > MAX_VALUE {
                return Err(OptionError::TooLong);
            }
        }
        Ok(())
    }

    /// The value of an option, possibly empty.
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(present, _)| *present == code)
            .map(|(_, value)| value.as_slice())
    }

    /// The value as an IPv4 address, if it is four bytes.
    #[must_use]
    pub fn address(&self, code: u8) -> Option<std::net::Ipv4Addr> {
        <[u8; 4]>::try_from(self.get(code)?).ok().map(Into::into)
    }

    /// The value as a 16-bit number, if it is two bytes.
    #[must_use]
    pub fn number16(&self, code: u8) -> Option<u16> {
        <[u8; 2]>::try_from(self.get(code)?).ok().map(u16::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_also_when_apart() {
        let field = [43, 2, 1, 2, 12, 1, b'x', 43, 1, 3, 255, 60, 1, b'y'];
        let options = Options::read(&field, &[], &[]).unwrap();
        assert_eq!(options.get(43).unwrap(), [1, 2, 3]);
        assert_eq!(options.get(12).unwrap(), b"x");
        assert_eq!(options.get(60), None, "nothing after the end counts");
    }

    #[test]
    fn a_value_over_the_end_is_dropped_alone() {
        let options = Options::read(&[53, 1, 1, 0, 0, 60, 200, b'P'], &[], &[]).unwrap();
        assert_eq!(options.get(53).unwrap(), [1]);
        assert_eq!(options.get(60), None);
    }

    #[test]
    fn overload_reads_file_then_sname() {
        let file = [77, 2, b'i', b'P'];
        let sname = [77, 2, b'X', b'E', 255];
        for (overload, expected) in [(1, &b"iP"[..]), (2, b"XE"), (3, b"iPXE")] {
            let options = Options::read(&[52, 1, overload, 255], &file, &sname).unwrap();
            assert_eq!(options.get(77).unwrap(), expected, "{overload}");
        }
        assert_eq!(Options::read(&[52, 0], &file, &sname).unwrap().get(77), None);
    }

    #[test]
    fn limits() {
        let many = |count: usize| Options::read(&[12, 0].repeat(count), &[], &[]);
        assert!(many(128).is_ok());
        assert_eq!(many(129), Err(OptionError::TooMany));
        let long = |count: usize| {
            let mut field = Vec::new();
            for part in vec![7; count].chunks(255) {
                field.extend([12, u8::try_from(part.len()).unwrap()]);
                field.extend_from_slice(part);
            }
            Options::read(&field, &[], &[])
        };
        assert_eq!(long(1024).unwrap().get(12).unwrap().len(), 1024);
        assert_eq!(long(1025), Err(OptionError::TooLong));
    }
}
