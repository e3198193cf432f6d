//! Requests and responses (IPMI 2.0 §13.8), the same inside and outside of sessions.

use crate::reader::Reader;
use crate::{Command, Completion, Malformed};

/// Slave address of the BMC, and the software id of a remote console.
const BMC: u8 = 0x20;
const CONSOLE: u8 = 0x81;

/// A command with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Function and number: all that is known of a command that this implementation does not have.
    pub function: u8,
    pub number: u8,
    /// Comes back in the response; 6 bits.
    pub sequence: u8,
    pub data: Vec<u8>,
    /// Who asks.
    pub requester: u8,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub function: u8,
    pub number: u8,
    pub sequence: u8,
    pub completion: Completion,
    pub data: Vec<u8>,
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte))
        .wrapping_neg()
}

/// Two address bytes with their checksum, and the rest with its own.
fn framed(head: [u8; 2], rest: &[u8]) -> Vec<u8> {
    [&head, [checksum(&head)].as_slice(), rest, &[checksum(rest)]].concat()
}

/// Checks both checksums; the head and what stands between them.
fn unframed<'a>(message: &'a [u8], what: &'static str) -> Result<([u8; 2], &'a [u8]), Malformed> {
    let mut reader = Reader::new(message, what);
    let head: [u8; 2] = reader.array()?;
    let sum = reader.u8()?;
    let (last, rest) = reader.rest().split_last().ok_or(Malformed::Short(what))?;
    if sum != checksum(&head) || *last != checksum(rest) {
        return Err(Malformed::Checksum(what));
    }
    Ok((head, rest))
}

impl Request {
    /// A request of a remote console.
    #[must_use]
    pub fn new(command: Command, sequence: u8, data: &[u8]) -> Self {
        let (function, number) = command.numbers();
        Self {
            function,
            number,
            sequence: sequence & 0x3f,
            data: data.to_vec(),
            requester: CONSOLE,
        }
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = [BMC, self.function << 2];
        let sequence = self.sequence << 2;
        framed(
            head,
            &[&[self.requester, sequence, self.number], self.data.as_slice()].concat(),
        )
    }

    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "a request";
        let ([address, function], rest) = unframed(message, WHAT)?;
        let mut reader = Reader::new(rest, WHAT);
        let [requester, sequence, number] = reader.array()?;
        // An odd function is a response's; the low bits name a logical unit, of which a BMC has one.
        if address != BMC || function & 7 != 0 {
            return Err(Malformed::Value(WHAT));
        }
        Ok(Self {
            function: function >> 2,
            number,
            sequence: sequence >> 2,
            data: reader.rest().to_vec(),
            requester,
        })
    }

    /// The command, if it is one that this implementation has.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        Command::of(self.function, self.number)
    }

    /// The bytes of its response.
    #[must_use]
    pub fn answer(&self, completion: Completion, data: &[u8]) -> Vec<u8> {
        let head = [self.requester, (self.function | 1) << 2];
        let fixed = [BMC, self.sequence << 2, self.number, completion.0];
        framed(head, &[&fixed, data].concat())
    }
}

impl Response {
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "a response";
        let ([_, function], rest) = unframed(message, WHAT)?;
        let mut reader = Reader::new(rest, WHAT);
        let [_, sequence, number, completion] = reader.array()?;
        if function & 4 == 0 {
            return Err(Malformed::Value(WHAT));
        }
        Ok(Self {
            function: function >> 2 & !1,
            number,
            sequence: sequence >> 2,
            completion: Completion(completion),
            data: reader.rest().to_vec(),
        })
    }

    /// Whether it is the answer to this request, and not a late one to another.
    #[must_use]
    pub fn answers(&self, request: &Request) -> bool {
        (self.function, self.number, self.sequence) == (request.function, request.number, request.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let request = Request::new(Command::ChassisControl, 9, &[1]);
        let bytes = request.to_bytes();
        assert_eq!(bytes, [0x20, 0, 0xe0, 0x81, 0x24, 2, 1, 0x58]);
        assert_eq!(Request::parse(&bytes), Ok(request.clone()));
        assert_eq!(request.command(), Some(Command::ChassisControl));
        let bytes = request.answer(Completion::NODE_BUSY, &[7]);
        let response = Response::parse(&bytes).unwrap();
        assert!(response.answers(&request) && response.completion == Completion::NODE_BUSY);
        assert_eq!(response.data, [7]);
        assert!(!response.answers(&Request::new(Command::ChassisControl, 10, &[1])));
        assert!(!response.answers(&Request::new(Command::ChassisStatus, 9, &[])));
        let mut wrong = bytes;
        wrong[6] ^= 1;
        assert!(Response::parse(&wrong).is_err());
    }
}
