//! Machines that ask through a relay (RFC 2131, 4.1.1 of RFC 1542): a number of exchanges under way, each new one begun
//! when another ends.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};

use crate::benches::cable::{Cable, SERVER};
use crate::benches::machines::{self, ROUTER};

/// After this without an answer a machine asks again. A burst is not repeated: nobody answers later than that.
const AGAIN: Duration = Duration::from_secs(1);
/// A burst ends when nothing came for so long.
const SILENCE: Duration = Duration::from_secs(2);
/// The whole load.
const LIMIT: Duration = Duration::from_secs(60);
/// More at once than a closed loop has are a burst.
const BURST: usize = 1_000;

/// Which machines ask, and how many at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) at_once: usize,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) asked: usize,
    /// Machines that got their own address.
    pub(super) done: usize,
    /// From the first packet to the last ACK.
    pub(super) took: Duration,
    /// The time that one of a hundred exchanges exceeds.
    pub(super) late: Duration,
    /// Share of a core that asking took.
    pub(super) client: f64,
}

/// One exchange under way.
struct Exchange {
    number: usize,
    began: Instant,
    sent: Instant,
    packet: Vec<u8>,
}

pub(super) fn run(cable: &Cable, load: Load) -> anyhow::Result<Outcome> {
    lab::in_namespace(&cable.client, move || Ok(ask(load))).context("the client's namespace")?
}

fn ask(load: Load) -> anyhow::Result<Outcome> {
    let socket = UdpSocket::bind((ROUTER, 67))?;
    setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20))?;
    socket.connect((SERVER, 67))?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let (began, used) = (Instant::now(), processor_time()?);
    let is_burst = load.at_once > BURST;
    let mut waiting = (load.first + 1)..=(load.first + load.count);
    let mut open: HashMap<u32, Exchange> = HashMap::new();
    let (mut addresses, mut times) = (HashSet::new(), Vec::new());
    let (mut last, mut heard) = (began, Instant::now());
    let mut reply = [0; 1500];
    loop {
        while open.len() < load.at_once
            && let Some(number) = waiting.next()
        {
            let now = Instant::now();
            let packet = message(1, number, None)?;
            socket.send(&packet)?;
            let exchange = Exchange {
                number,
                began: now,
                sent: now,
                packet,
            };
            open.insert(u32::try_from(number)?, exchange);
        }
        if open.is_empty() {
            break;
        }
        ensure!(began.elapsed() < LIMIT, "{} machines have no answer", open.len());
        let length = socket.recv(&mut reply).unwrap_or(0);
        let now = Instant::now();
        let Some((transaction, kind, address, server)) = read(reply.get(..length).unwrap_or_default()) else {
            if is_burst && now.duration_since(heard) > SILENCE {
                break;
            }
            if !is_burst {
                for exchange in open.values_mut() {
                    if now.duration_since(exchange.sent) > AGAIN {
                        exchange.sent = now;
                        socket.send(&exchange.packet)?;
                    }
                }
            }
            continue;
        };
        heard = now;
        let Some(exchange) = open.get_mut(&transaction) else {
            continue;
        };
        let expected = machines::address(exchange.number);
        ensure!(
            address == expected,
            "{address} was given to the machine of {expected}"
        );
        match kind {
            2 => {
                exchange.packet = message(3, exchange.number, Some((address, server)))?;
                exchange.sent = now;
                socket.send(&exchange.packet)?;
            }
            5 => {
                ensure!(addresses.insert(address), "{address} was given twice");
                times.push(now.duration_since(exchange.began));
                last = now;
                open.remove(&transaction);
            }
            other => anyhow::bail!("message type {other} for {expected}"),
        }
    }
    times.sort_unstable();
    let late = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let elapsed = began.elapsed().as_secs_f64();
    Ok(Outcome {
        asked: load.count,
        done: addresses.len(),
        took: last.duration_since(began),
        late,
        client: (processor_time()? - used).as_secs_f64() / elapsed,
    })
}

fn processor_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// A message of a machine, as its relay passes it on; its transaction is the machine's number.
fn message(kind: u8, number: usize, offer: Option<(Ipv4Addr, Ipv4Addr)>) -> anyhow::Result<Vec<u8>> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[1, 1, 6, 1]);
    message[4..8].copy_from_slice(&u32::try_from(number)?.to_be_bytes());
    message[24..28].copy_from_slice(&ROUTER.octets());
    message[28..34].copy_from_slice(&machines::mac(number));
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind, 55, 3, 1, 3, 6]);
    if let Some((address, server)) = offer {
        message.extend([50, 4]);
        message.extend(address.octets());
        message.extend([54, 4]);
        message.extend(server.octets());
    }
    message.push(255);
    Ok(message)
}

/// Transaction, message type, address and server of a reply.
fn read(reply: &[u8]) -> Option<(u32, u8, Ipv4Addr, Ipv4Addr)> {
    let transaction = u32::from_be_bytes(reply.get(4..8)?.try_into().ok()?);
    let address: [u8; 4] = reply.get(16..20)?.try_into().ok()?;
    let (mut kind, mut server) = (None, Ipv4Addr::UNSPECIFIED);
    let mut options = reply.get(240..)?;
    while let [code, length, rest @ ..] = options {
        if *code == 255 {
            break;
        }
        let value = rest.get(..usize::from(*length))?;
        match (*code, value) {
            (53, [one]) => kind = Some(*one),
            (54, [a, b, c, d]) => server = Ipv4Addr::new(*a, *b, *c, *d),
            _ => {}
        }
        options = rest.get(usize::from(*length)..)?;
    }
    Some((transaction, kind?, address.into(), server))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_made() {
        let (address, server) = (Ipv4Addr::new(10, 64, 0, 7), Ipv4Addr::new(10, 9, 0, 1));
        let made = message(3, 7, Some((address, server))).unwrap();
        let (transaction, kind, _, read_server) = read(&made).unwrap();
        assert_eq!((transaction, kind, read_server), (7, 3, server));
        assert_eq!(read(&made[..200]), None);
    }
}
