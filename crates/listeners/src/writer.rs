//! The writing side of a connection: small writes at once, large ones in turns, and files by the kernel.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::file_write::FileWrite;
use crate::sending::Sending;
use crate::turns::OwnTurns;

/// Bytes of a turn: less wakes the peers more often, which costs more than the sending.
const PART: usize = 2 << 20;
/// A write of up to so many bytes needs no turn.
pub(crate) const SMALL: usize = 128 << 10;

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum Wait {
    /// The peer has to take something first.
    Peer,
    /// It is not this connection's turn, or the disk has to be read.
    Turn,
}

#[derive(Debug)]
pub(crate) struct Writer {
    sending: Arc<Sending>,
    turns: OwnTurns,
    reading: Option<JoinHandle<u64>>,
    /// Up to where the file is in memory, as far as is known.
    read_to: u64,
}

impl Writer {
    pub(crate) const fn new(turns: OwnTurns, sending: Arc<Sending>) -> Self {
        Self {
            sending,
            turns,
            reading: None,
            read_to: 0,
        }
    }

    /// Writes what the kernel takes now, within a turn if it is much.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        parts: &[IoSlice<'_>],
    ) -> Result<io::Result<usize>, Wait> {
        let length = parts
            .iter()
            .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let file = self.sending.file();
        let found = file.as_ref().and_then(|file| FileWrite::new(file, parts, PART));
        if found.as_ref().is_some_and(FileWrite::is_begin) {
            // The begin of a response, perhaps of another file.
            self.read_to = 0;
        }
        if found.is_none() && length <= SMALL {
            let result = write_small(cx, stream, parts, self.sending.is_last())?;
            self.turns.answered();
            return Ok(result);
        }
        loop {
            match stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Ok(Err(error)),
                Poll::Pending => return Err(Wait::Peer),
            }
            let Poll::Ready(turn) = self.poll_turn(cx, length, found.as_ref()) else {
                return Err(Wait::Turn);
            };
            let result = match &found {
                Some(found) => stream.try_io(Interest::WRITABLE, || found.send(stream)),
                None => stream.try_write_vectored(parts),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.turns.answered();
                    if turn.is_some() {
                        self.turns.used();
                    }
                    return Ok(result);
                }
            }
        }
    }

    /// Waits for the disk, and for a turn if the write is large.
    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        length: usize,
        found: Option<&FileWrite<'_>>,
    ) -> Poll<Option<OwnedSemaphorePermit>> {
        if let Some(reading) = &mut self.reading {
            // Without what was read the write waits for the disk itself.
            self.read_to = ready!(Pin::new(reading).poll(cx)).unwrap_or(u64::MAX);
            self.reading = None;
        }
        if let Some(found) = found
            && found.end() > self.read_to
        {
            if !found.is_cached(self.read_to) {
                let mut reading = tokio::task::spawn_blocking(found.read_ahead());
                if Pin::new(&mut reading).poll(cx).is_pending() {
                    self.reading = Some(reading);
                    return Poll::Pending;
                }
            }
            self.read_to = found.end();
        }
        if length <= SMALL {
            return Poll::Ready(None);
        }
        self.turns.poll(cx)
    }
}

/// Writes at once. Nothing follows the last answer but the end of the stream, which then leaves in the same segment.
fn write_small(
    cx: &mut Context<'_>,
    stream: &mut TcpStream,
    parts: &[IoSlice<'_>],
    last: bool,
) -> Result<io::Result<usize>, Wait> {
    if !last {
        return match Pin::new(stream).poll_write_vectored(cx, parts) {
            Poll::Ready(result) => Ok(result),
            Poll::Pending => Err(Wait::Peer),
        };
    }
    loop {
        match stream.poll_write_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Ok(Err(error)),
            Poll::Pending => return Err(Wait::Peer),
        }
        let socket = SockRef::from(&*stream);
        let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
        let sent = stream.try_io(Interest::WRITABLE, || {
            socket.send_vectored_with_flags(parts, flags)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Ok(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::served_file::ServedFile;
    use crate::turns::{STORM, TURNS, Turns};

    struct Case {
        turns: Turns,
        writer: Writer,
        stream: TcpStream,
        peer: TcpStream,
    }

    impl Case {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            stream.writable().await.unwrap();
            let turns = Turns::default();
            Self {
                writer: Writer::new(OwnTurns::new(&turns, true), Arc::default()),
                turns,
                stream,
                peer,
            }
        }

        fn write(&mut self, bytes: &[u8]) -> Result<io::Result<usize>, Wait> {
            let mut cx = Context::from_waker(Waker::noop());
            self.writer
                .poll_write(&mut cx, &mut self.stream, &[IoSlice::new(bytes)])
        }
    }

    #[tokio::test]
    async fn what_is_large_waits_for_a_turn_and_what_is_small_does_not() {
        let mut case = Case::new().await;
        let large = vec![1; 8 << 20];
        let others = case
            .turns
            .free()
            .clone()
            .acquire_many_owned(u32::try_from(TURNS).unwrap());
        let others = others.await.unwrap();
        for _ in 0..3 {
            assert!(matches!(case.write(&large), Err(Wait::Turn)));
            assert!(matches!(case.write(b"small"), Ok(Ok(5))));
        }
        drop(others);
        assert!(matches!(case.write(&large), Ok(Ok(1..))));
        assert_eq!(
            case.turns.free().available_permits(),
            TURNS,
            "a turn ends with its write"
        );
    }

    #[tokio::test]
    async fn a_turn_is_one_part_and_after_it_the_others_come() {
        let mut case = Case::new().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![2; 8 << 20]).unwrap();
        let file = ServedFile::open(&path).unwrap();
        let bytes = file.bytes();
        case.writer.sending.set(Some(file), false);
        let Ok(Ok(sent @ 1..=PART)) = case.write(&bytes) else {
            panic!("the first write is a part");
        };
        assert!(
            matches!(case.write(&bytes[sent..]), Err(Wait::Turn)),
            "others first"
        );
        let mut taken = vec![0; sent];
        case.peer.read_exact(&mut taken).await.unwrap();
        assert!(taken.iter().all(|byte| *byte == 2));
        case.stream.writable().await.unwrap();
        assert!(matches!(case.write(&bytes[sent..]), Ok(Ok(1..=PART))));
    }

    #[tokio::test]
    async fn turns_are_slow_while_many_have_no_answer_yet() {
        let mut case = Case::new().await;
        let large = vec![1; 8 << 20];
        let mut storm: Vec<_> = (0..=STORM).map(|_| OwnTurns::new(&case.turns, true)).collect();
        assert!(matches!(case.write(&large), Err(Wait::Turn)));
        let written = std::future::poll_fn(|cx| {
            match case
                .writer
                .poll_write(cx, &mut case.stream, &[IoSlice::new(&large)])
            {
                Ok(result) => Poll::Ready(result),
                Err(_) => Poll::Pending,
            }
        });
        assert!(written.await.unwrap() > 0, "but they come");

        let mut case = Case::new().await;
        storm.extend((0..100).map(|_| OwnTurns::new(&case.turns, false)));
        assert!(
            matches!(case.write(&large), Ok(Ok(1..))),
            "strangers are no storm"
        );
        drop(storm);
        assert_eq!(case.turns.due(), 0);
    }

    #[tokio::test]
    async fn an_answer_that_was_given_is_not_due() {
        let mut case = Case::new().await;
        assert_eq!(case.turns.due(), 1);
        assert!(matches!(case.write(b"small"), Ok(Ok(5))));
        assert_eq!(case.turns.due(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_its_peer_has_no_turn() {
        let mut case = Case::new().await;
        let large = vec![3; 8 << 20];
        while !matches!(case.write(&large), Err(Wait::Peer)) {}
        assert_eq!(case.turns.free().available_permits(), TURNS);
    }
}
