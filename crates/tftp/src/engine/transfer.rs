//! One transfer: windows of DATA, acknowledgements, retransmission.
//!
//! A repeated ACK never makes a block go out twice in lock step (RFC 1123 section 4.2.3.1); with windows it means that
//! the first block of the window was lost, and the window goes out again, once until there is progress.

use std::time::Duration;

use bytes::Bytes;

use super::request::{Options, Packet};

/// Retransmissions without progress before the peer is given up.
const RETRIES: u32 = 6;
/// First wait for an acknowledgement; it doubles with each retransmission unless the client fixed it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every block was acknowledged.
    Complete,
    /// The client gave up, in its words; firmware does so on purpose after it has learnt the size.
    Aborted(String),
    /// The client is silent.
    Lost,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Datagrams to send, in order.
    pub send: Vec<Vec<u8>>,
    /// Set when the transfer is over.
    pub outcome: Option<Outcome>,
}

/// The state of a transfer. Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct Transfer {
    content: Bytes,
    options: Options,
    /// Waiting for the acknowledgement of the options.
    negotiating: bool,
    /// Blocks acknowledged; block numbers on the wire are this modulo 65536.
    acknowledged: u64,
    /// Blocks sent.
    sent: u64,
    /// Blocks in all; the last one is shorter than the others, possibly empty.
    blocks: u64,
    retries: u32,
    /// The window has gone out again for a repeated acknowledgement.
    repeated: bool,
    deadline: Duration,
}

impl Transfer {
    /// Starts a transfer and says what to send first.
    #[must_use]
    pub fn start(content: Bytes, options: Options, now: Duration) -> (Self, Step) {
        let size = content.len() as u64;
        let blocks = (size / u64::from(options.block_size.max(1))).saturating_add(1);
        let mut transfer = Self {
            content,
            options,
            negotiating: options.acknowledgement(size).is_some(),
            acknowledged: 0,
            sent: 0,
            blocks,
            retries: 0,
            repeated: false,
            deadline: Duration::ZERO,
        };
        transfer.restart_timer(now);
        let send = transfer.window();
        (transfer, Step { send, outcome: None })
    }

    /// When to call [`Transfer::timeout`].
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Takes a datagram of the peer in.
    #[must_use]
    pub fn receive(&mut self, datagram: &[u8], now: Duration) -> Step {
        match Packet::read(datagram) {
            Some(Packet::Ack(block)) => self.acknowledge(block, now),
            Some(Packet::Error(_, text)) => Step {
                send: Vec::new(),
                outcome: Some(Outcome::Aborted(text)),
            },
            Some(Packet::Read(_) | Packet::Write) | None => Step::default(),
        }
    }

    /// The deadline has passed.
    #[must_use]
    pub fn timeout(&mut self, now: Duration) -> Step {
        if now < self.deadline {
            return Step::default();
        }
        if self.retries >= RETRIES {
            return Step {
                send: Vec::new(),
                outcome: Some(Outcome::Lost),
            };
        }
        self.retries = self.retries.saturating_add(1);
        self.restart_timer(now);
        Step {
            send: self.window(),
            outcome: None,
        }
    }

    fn acknowledge(&mut self, block: u16, now: Duration) -> Step {
        if self.negotiating {
            if block != 0 {
                return Step::default();
            }
            self.negotiating = false;
            return self.progress(now);
        }
        // The low 16 bits of what has been acknowledged so far.
        let ahead = block.wrapping_sub(low16(self.acknowledged));
        if u64::from(ahead) > self.sent.saturating_sub(self.acknowledged) {
            return Step::default();
        }
        if ahead == 0 {
            if self.options.window == 1 || self.repeated || self.sent == self.acknowledged {
                return Step::default();
            }
            self.repeated = true;
            return Step {
                send: self.window(),
                outcome: None,
            };
        }
        self.acknowledged = self.acknowledged.saturating_add(u64::from(ahead));
        self.progress(now)
    }

    fn progress(&mut self, now: Duration) -> Step {
        self.retries = 0;
        self.repeated = false;
        self.restart_timer(now);
        if self.acknowledged >= self.blocks {
            return Step {
                send: Vec::new(),
                outcome: Some(Outcome::Complete),
            };
        }
        Step {
            send: self.window(),
            outcome: None,
        }
    }

    /// The datagrams that are due: the answer to the options, or the window after the last acknowledgement.
    fn window(&mut self) -> Vec<Vec<u8>> {
        if self.negotiating {
            return self
                .options
                .acknowledgement(self.content.len() as u64)
                .into_iter()
                .collect();
        }
        let end = self
            .acknowledged
            .saturating_add(u64::from(self.options.window))
            .min(self.blocks);
        self.sent = end;
        (self.acknowledged..end).map(|block| self.data(block)).collect()
    }

    /// DATA with the block of this index, from 0; its number on the wire is one more.
    fn data(&self, index: u64) -> Vec<u8> {
        let size = usize::from(self.options.block_size);
        let start = usize::try_from(index)
            .unwrap_or(usize::MAX)
            .saturating_mul(size)
            .min(self.content.len());
        let end = start.saturating_add(size).min(self.content.len());
        let mut packet = Vec::with_capacity(size.saturating_add(4));
        packet.extend([0, 3]);
        packet.extend(low16(index.wrapping_add(1)).to_be_bytes());
        packet.extend_from_slice(self.content.get(start..end).unwrap_or_default());
        packet
    }

    fn restart_timer(&mut self, now: Duration) {
        let wait = match self.options.timeout {
            Some(seconds) => Duration::from_secs(u64::from(seconds)),
            None => FIRST_WAIT
                .saturating_mul(1 << self.retries.min(3))
                .min(LONGEST_WAIT),
        };
        self.deadline = now.saturating_add(wait);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "block numbers wrap")]
const fn low16(number: u64) -> u16 {
    number as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn options(text: &str) -> Options {
        let packet = format!("\0\u{1}a\0octet\0{}", text.replace(' ', "\0"));
        match Packet::read(packet.as_bytes()) {
            Some(Packet::Read(request)) => request.options,
            other => panic!("{other:?}"),
        }
    }

    fn ack(block: u16) -> Vec<u8> {
        [&[0, 4][..], &block.to_be_bytes()].concat()
    }

    fn numbers(step: &Step) -> Vec<u16> {
        step.send
            .iter()
            .filter(|p| p[1] == 3)
            .map(|p| u16::from_be_bytes([p[2], p[3]]))
            .collect()
    }

    #[test]
    fn lock_step_to_the_end() {
        for size in [0, 1, 511, 512, 513, 1024] {
            let (mut transfer, mut step) =
                Transfer::start(Bytes::from(vec![7; size]), Options::default(), START);
            let mut got = 0;
            let mut block = 0_u16;
            while step.outcome.is_none() {
                block += 1;
                assert_eq!(numbers(&step), [block]);
                got += step.send[0].len() - 4;
                step = transfer.receive(&ack(block), START);
            }
            assert_eq!((got, usize::from(block)), (size, size / 512 + 1), "{size}");
            assert_eq!(step.outcome, Some(Outcome::Complete));
        }
    }

    #[test]
    fn repeated_acknowledgements_send_nothing_in_lock_step() {
        let (mut transfer, _) = Transfer::start(Bytes::from(vec![7; 4096]), Options::default(), START);
        assert_eq!(numbers(&transfer.receive(&ack(1), START)), [2]);
        for _ in 0..3 {
            assert_eq!(transfer.receive(&ack(1), START), Step::default());
        }
        assert_eq!(transfer.receive(&ack(9), START), Step::default(), "never sent");
        assert_eq!(numbers(&transfer.receive(&ack(2), START)), [3]);
    }

    #[test]
    fn a_window_with_a_gap() {
        let (mut transfer, step) =
            Transfer::start(Bytes::from(vec![7; 512 * 10]), options("windowsize 4 "), START);
        assert!(step.send[0].starts_with(b"\0\x06windowsize\x004\0"));
        assert_eq!(numbers(&transfer.receive(&ack(0), START)), [1, 2, 3, 4]);
        assert_eq!(
            numbers(&transfer.receive(&ack(2), START)),
            [3, 4, 5, 6],
            "3 was lost"
        );
        assert_eq!(
            numbers(&transfer.receive(&ack(2), START)),
            [3, 4, 5, 6],
            "lost again"
        );
        assert_eq!(
            transfer.receive(&ack(2), START),
            Step::default(),
            "only once until there is progress"
        );
        assert_eq!(numbers(&transfer.receive(&ack(6), START)), [7, 8, 9, 10]);
        assert_eq!(
            numbers(&transfer.receive(&ack(10), START)),
            [11],
            "the empty last block"
        );
        assert_eq!(transfer.receive(&ack(11), START).outcome, Some(Outcome::Complete));
    }

    #[test]
    fn block_numbers_wrap() {
        let blocks = 70_000_usize;
        let content = Bytes::from(vec![7; 8 * blocks]);
        let (mut transfer, mut step) = Transfer::start(content, options("blksize 8 windowsize 16 "), START);
        step.send.clear();
        step = transfer.receive(&ack(0), START);
        let mut got = 0;
        while step.outcome.is_none() {
            got += step.send.iter().map(|p| p.len() - 4).sum::<usize>();
            step = transfer.receive(&ack(*numbers(&step).last().unwrap()), START);
        }
        assert_eq!((got, step.outcome), (8 * blocks, Some(Outcome::Complete)));
    }

    #[test]
    fn silence_is_given_up_and_an_error_ends_at_once() {
        let (mut transfer, _) = Transfer::start(Bytes::from_static(b"x"), Options::default(), START);
        let mut sent = 0;
        let ended = loop {
            let now = transfer.deadline();
            assert_eq!(
                transfer.timeout(now - Duration::from_millis(1)),
                Step::default(),
                "too early"
            );
            let step = transfer.timeout(now);
            sent += step.send.len();
            if let Some(outcome) = step.outcome {
                assert_eq!(outcome, Outcome::Lost);
                break now;
            }
        };
        assert_eq!(sent, 6);
        assert!(ended < Duration::from_secs(60), "{ended:?}");
        let (mut transfer, _) = Transfer::start(Bytes::from_static(b"x"), options("tsize 0 "), START);
        let step = transfer.receive(b"\0\x05\0\0User aborted the transfer\0", START);
        assert_eq!(
            step,
            Step {
                send: vec![],
                outcome: Some(Outcome::Aborted("User aborted the transfer".into()))
            }
        );
    }

    #[test]
    fn the_client_may_fix_the_timeout() {
        let (mut transfer, _) = Transfer::start(Bytes::from_static(b"x"), options("timeout 3 "), START);
        assert_eq!(transfer.deadline(), Duration::from_secs(3));
        assert_eq!(transfer.timeout(Duration::from_secs(3)).send.len(), 1);
        assert_eq!(transfer.deadline(), Duration::from_secs(6));
    }
}
