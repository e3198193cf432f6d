//! The way out of a transfer: datagrams of a window that are equally long leave by one system call, which the kernel
//! cuts apart (UDP generic segmentation offload).

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams in one system call: what the kernel cuts apart at most.
const MOST: usize = 64;
/// Bytes in one system call: an IPv4 datagram with its headers.
const MOST_BYTES: usize = 65_000;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    socket: &'a UdpSocket,
    /// Until the interface refuses it, as one does that cannot make checksums.
    together: bool,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(socket: &'a UdpSocket) -> Self {
        Self {
            socket,
            together: true,
        }
    }

    pub(super) async fn send(&mut self, datagrams: &[Vec<u8>]) -> io::Result<()> {
        let mut left = datagrams;
        while let Some(first) = left.first() {
            let count = if self.together { run(left) } else { 1 };
            let (now, later) = left.split_at(count);
            if count == 1 {
                self.socket.send(first).await?;
            } else if let Err(error) = self.send_together(now).await {
                if error.kind() == ErrorKind::ConnectionRefused {
                    return Err(error);
                }
                self.together = false;
                continue;
            }
            left = later;
        }
        Ok(())
    }

    async fn send_together(&self, datagrams: &[Vec<u8>]) -> io::Result<()> {
        let length = datagrams.first().map_or(0, Vec::len);
        let length = u16::try_from(length).map_err(io::Error::other)?;
        let slices: Vec<IoSlice<'_>> = datagrams.iter().map(|one| IoSlice::new(one)).collect();
        let control = [ControlMessage::UdpGsoSegments(&length)];
        let send = || {
            let (file, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            sendmsg::<()>(file, &slices, &control, flags, None).map_err(io::Error::from)
        };
        self.socket.async_io(Interest::WRITABLE, send).await.map(drop)
    }
}

/// How many of the first datagrams go together: all as long as the first, but the last may be shorter.
fn run(datagrams: &[Vec<u8>]) -> usize {
    let length = datagrams.first().map_or(0, Vec::len);
    let most = MOST.min(MOST_BYTES.checked_div(length).unwrap_or(1)).max(1);
    let equal = datagrams
        .iter()
        .take(most)
        .take_while(|one| one.len() == length)
        .count();
    let shorter = |one: &Vec<u8>| one.len() < length;
    equal + usize::from(equal < most && datagrams.get(equal).is_some_and(shorter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_of_equal_length_and_end_with_a_shorter_one() {
        let of =
            |lengths: &[usize]| -> Vec<Vec<u8>> { lengths.iter().map(|length| vec![0; *length]).collect() };
        for (lengths, expected) in [
            (vec![5], 1),
            (vec![9, 512, 512], 1),
            (vec![512, 512, 512], 3),
            (vec![512, 512, 4, 512], 3),
            (vec![4, 512], 1),
            (vec![1472; 64], 44),
            (vec![12; 100], 64),
        ] {
            assert_eq!(run(&of(&lengths)), expected, "{lengths:?}");
        }
    }

    #[tokio::test]
    async fn each_datagram_arrives_as_it_is() {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(receiver.local_addr().unwrap()).await.unwrap();
        let datagrams: Vec<Vec<u8>> = (0..40_u8)
            .map(|at| {
                vec![
                    at;
                    if at == 0 {
                        9
                    } else if at == 39 {
                        5
                    } else {
                        1472
                    }
                ]
            })
            .collect();
        for together in [true, false] {
            let mut outgoing = Outgoing {
                socket: &socket,
                together,
            };
            outgoing.send(&datagrams).await.unwrap();
            let mut buffer = [0; 2000];
            for expected in &datagrams {
                let length = receiver.recv(&mut buffer).await.unwrap();
                assert!(buffer[..length] == **expected, "{}", expected[0]);
            }
        }
    }
}
