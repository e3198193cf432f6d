//! Packets of RFC 1350 and the options of a read request. Texts of clients are made printable here, so nothing that a
//! terminal takes for a command goes any further.

use resources::printable;

/// Largest name that is read.
const MAX_NAME: usize = 255;
/// Options that are looked at.
const MAX_OPTIONS: usize = 8;
/// Smallest and largest block. 1468 bytes and the headers fit an Ethernet frame.
const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 8..=1468;
const DEFAULT_BLOCK: u16 = 512;
/// Blocks that may be under way (RFC 7440): more gain nothing, and fill the queue of a client that loses some.
const MAX_WINDOW: u64 = 64;

const READ: u8 = 1;
const WRITE: u8 = 2;
const ACK: u8 = 4;
const ERROR: u8 = 5;

/// Codes of ERROR packets (RFC 1350 appendix, RFC 2347).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Problem {
    Other = 0,
    NotFound = 1,
    Denied = 2,
    Illegal = 4,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Wants a file.
    Read(ReadRequest),
    /// Wants to write.
    Write,
    /// Has blocks up to this one, modulo 65536.
    Ack(u16),
    /// Gives up, in its words.
    Error(u16, String),
}

/// A read request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// Name as sent, printable, without the 0xFF that some DHCP servers leave after it.
    pub name: String,
    /// Whether the mode is octet.
    pub octet: bool,
    /// Options.
    pub options: Options,
}

/// Options as they hold for the transfer, and which of them the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a block.
    pub block_size: u16,
    /// Blocks under way.
    pub window: u16,
    /// Seconds until a retransmission, if the client wants a fixed time.
    pub timeout: Option<u8>,
    /// Whether the size was asked for.
    pub size: bool,
    block_size_asked: bool,
    window_asked: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_size: DEFAULT_BLOCK,
            window: 1,
            timeout: None,
            size: false,
            block_size_asked: false,
            window_asked: false,
        }
    }
}

impl Packet {
    /// Reads a datagram; `None` if it is nothing that a client may send.
    #[must_use]
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let (opcode, body) = datagram.split_at_checked(2)?;
        let [0, opcode] = *opcode else { return None };
        match opcode {
            READ => read_request(body).map(Self::Read),
            WRITE => Some(Self::Write),
            ACK => number(body).map(Self::Ack),
            ERROR => {
                let text = body.get(2..).unwrap_or_default();
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                number(body).map(|code| Self::Error(code, readable(text.get(..80).unwrap_or(text))))
            }
            _ => None,
        }
    }
}

fn readable(text: &[u8]) -> String {
    printable(&String::from_utf8_lossy(text)).into_owned()
}

fn number(body: &[u8]) -> Option<u16> {
    body.get(..2)?.try_into().ok().map(u16::from_be_bytes)
}

fn read_request(body: &[u8]) -> Option<ReadRequest> {
    // Every text ends with a zero; what follows the last one is padding of odd firmware.
    let mut texts: Vec<&[u8]> = body.split(|byte| *byte == 0).collect();
    texts.pop();
    let mut texts = texts.into_iter();
    let name = texts.next().filter(|name| name.len() <= MAX_NAME)?;
    let end = name.iter().rposition(|byte| *byte != 0xff)?;
    let name = name.get(..=end)?;
    let mode = texts.next()?;
    let mut options = Options::default();
    for _ in 0..MAX_OPTIONS {
        let (Some(key), Some(value)) = (texts.next(), texts.next()) else {
            break;
        };
        options.take(&key.to_ascii_lowercase(), value);
    }
    Some(ReadRequest {
        name: readable(name),
        octet: mode.eq_ignore_ascii_case(b"octet"),
        options,
    })
}

impl Options {
    /// Takes an option as far as it makes sense; anything else is not answered, so it does not hold.
    fn take(&mut self, key: &[u8], value: &[u8]) {
        let Some(value) = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
        else {
            return;
        };
        match key {
            b"blksize" if value >= *BLOCK_SIZES.start() => {
                self.block_size = u16::try_from(value.min(*BLOCK_SIZES.end())).unwrap_or(DEFAULT_BLOCK);
                self.block_size_asked = true;
            }
            b"windowsize" if value >= 1 => {
                self.window = u16::try_from(value.min(MAX_WINDOW)).unwrap_or(1);
                self.window_asked = true;
            }
            b"timeout" => self.timeout = u8::try_from(value).ok().filter(|seconds| *seconds > 0),
            b"tsize" => self.size = true,
            _ => {}
        }
    }

    /// OACK for what was asked and understood; `None` if that is nothing.
    #[must_use]
    pub fn acknowledgement(&self, size: u64) -> Option<Vec<u8>> {
        let mut packet = vec![0, 6];
        let mut put = |key: &str, value: u64| {
            packet.extend(key.bytes());
            packet.push(0);
            packet.extend(value.to_string().bytes());
            packet.push(0);
        };
        if self.block_size_asked {
            put("blksize", u64::from(self.block_size));
        }
        if let Some(seconds) = self.timeout {
            put("timeout", u64::from(seconds));
        }
        if self.size {
            put("tsize", size);
        }
        if self.window_asked {
            put("windowsize", u64::from(self.window));
        }
        (packet.len() > 2).then_some(packet)
    }
}

/// An ERROR packet.
#[must_use]
pub fn error_packet(problem: Problem, text: &str) -> Vec<u8> {
    let mut packet = vec![0, ERROR, 0, problem as u8];
    packet.extend(text.bytes().filter(|byte| *byte != 0));
    packet.push(0);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &[u8]) -> Option<ReadRequest> {
        match Packet::read(&[&[0, 1], text].concat()) {
            Some(Packet::Read(request)) => Some(request),
            _ => None,
        }
    }

    #[test]
    fn requests_with_and_without_options() {
        let plain = request(b"a/b\0OCTET\0").unwrap();
        assert_eq!(
            (plain.name.as_str(), plain.octet, plain.options),
            ("a/b", true, Options::default())
        );
        assert!(!request(b"a\0netascii\0").unwrap().octet);
        let rich =
            request(b"a\0octet\0BLKSIZE\0\x31468\0tsize\x000\0windowsize\x0064\0timeout\x003\0\0\0pad")
                .unwrap();
        let options = rich.options;
        assert_eq!(
            (options.block_size, options.window, options.timeout, options.size),
            (1468, 64, Some(3), true)
        );
        let expected = b"\0\x06blksize\0\x31468\0timeout\x003\0tsize\x0099\0windowsize\x0064\0";
        assert_eq!(options.acknowledgement(99).unwrap(), expected);
    }

    #[test]
    fn options_at_their_limits() {
        let block = |text: &str| {
            request(format!("a\0octet\0blksize\0{text}\0").as_bytes())
                .unwrap()
                .options
        };
        for (asked, given) in [
            ("8", 8),
            ("1467", 1467),
            ("1468", 1468),
            ("1469", 1468),
            ("65464", 1468),
            ("99999", 1468),
        ] {
            assert_eq!(block(asked).block_size, given, "{asked}");
            assert!(block(asked).acknowledgement(0).is_some());
        }
        for refused in ["7", "0", "-1", "x", "", "99999999999999999999999"] {
            assert_eq!(block(refused), Options::default(), "{refused}");
            assert_eq!(block(refused).acknowledgement(0), None);
        }
    }

    #[test]
    fn texts_are_printable() {
        for (name, expected) in [
            (&b"snponly.efi"[..], "snponly.efi"),
            (b"snponly.efi\xff", "snponly.efi"),
            (b"snponly.efi\xff\xff", "snponly.efi"),
            (b"\x1b[2J\x07a", r"\u{1b}[2J\u{7}a"),
            (b"a\nb", r"a\nb"),
        ] {
            let read = request(&[name, b"\0octet\0"].concat()).unwrap();
            assert_eq!(read.name, expected);
        }
        assert_eq!(request(b"\xff\0octet\0"), None, "no name is left");
        let Some(Packet::Error(8, text)) = Packet::read(b"\0\x05\0\x08\x1b[31mPWNED\x1b]0;title\x07\0")
        else {
            panic!()
        };
        assert_eq!(text, r"\u{1b}[31mPWNED\u{1b}]0;title\u{7}");
    }

    #[test]
    fn what_is_no_packet_of_a_client() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\x01",
            b"\0\x01\0octet\0",
            b"\0\x01a\0octet",
            b"\0\x03\0\x01",
            b"\x01\x01a\0octet\0",
        ] {
            assert_eq!(Packet::read(bytes), None, "{bytes:?}");
        }
        let long = [&[0, 1][..], &[b'a'; 256], b"\0octet\0"].concat();
        assert_eq!(Packet::read(&long), None);
        assert_eq!(Packet::read(b"\0\x04\x01\x02"), Some(Packet::Ack(258)));
        assert_eq!(
            Packet::read(b"\0\x05\0\x08no\0x"),
            Some(Packet::Error(8, "no".into()))
        );
    }
}
