//! Who gets a place for a transfer, and who loses one.
//!
//! Anybody can make up requests from any address, so a place counts little until its peer has answered. Machines of the
//! site (their reserved addresses) may use every place; strangers share half of them. When a share is full, the oldest
//! place of a stranger that has not answered yet makes room; transfers that run are only displaced by machines of the
//! site. Many strangers may be one address, behind a router that translates addresses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whom a peer's address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// One machine of the site.
    Known,
    /// Anybody.
    Stranger,
}

/// Transfers at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Of strangers.
    pub strangers: usize,
    /// From the address of one machine.
    pub of_known: usize,
    /// From one address of strangers.
    pub of_stranger: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 1024,
            strangers: 512,
            of_known: 16,
            of_stranger: 256,
        }
    }
}

/// One transfer of a peer. A later one of the same peer is another place.
#[derive(Debug, Clone)]
pub struct Place {
    peer: SocketAddr,
    generation: u64,
    answered: Arc<AtomicBool>,
}

impl Place {
    /// The peer has answered from its address: it exists.
    pub fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }
}

/// What a request gets.
#[derive(Debug)]
pub enum Admission<T> {
    /// A place; these transfers lose theirs.
    Place(Place, Vec<T>),
    /// Nothing: the client repeats itself because the first answer is still on its way.
    Repeated,
    /// Nothing: every place is taken. An earlier transfer of the same peer loses its place all the same.
    Full(Vec<T>),
}

/// Transfers under way, by peer; `T` stops one.
#[derive(Debug)]
pub struct Places<T> {
    limits: Limits,
    generation: u64,
    by_peer: HashMap<SocketAddr, Taken<T>>,
}

#[derive(Debug)]
struct Taken<T> {
    place: Place,
    standing: Standing,
    request: Vec<u8>,
    stop: T,
}

impl<T> Places<T> {
    /// No transfer yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            generation: 0,
            by_peer: HashMap::new(),
        }
    }

    /// Asks for a place for this request. Whoever gets one starts the transfer and then calls [`Places::take`].
    pub fn admit(&mut self, peer: SocketAddr, standing: Standing, request: &[u8]) -> Admission<T> {
        let mut displaced = Vec::new();
        if let Some(taken) = self.by_peer.get(&peer) {
            if taken.request == request {
                return Admission::Repeated;
            }
            // A new request of the same peer is what it wants now.
            displaced.extend(self.by_peer.remove(&peer).map(|taken| taken.stop));
        }
        match self.room(peer, standing) {
            Room::There => {}
            Room::Instead(other) => displaced.extend(self.by_peer.remove(&other).map(|taken| taken.stop)),
            Room::None => return Admission::Full(displaced),
        }
        self.generation = self.generation.wrapping_add(1);
        let place = Place {
            peer,
            generation: self.generation,
            answered: Arc::default(),
        };
        Admission::Place(place, displaced)
    }

    /// The transfer of a place has started.
    pub fn take(&mut self, place: Place, standing: Standing, request: &[u8], stop: T) {
        let taken = Taken {
            standing,
            request: request.to_vec(),
            stop,
            place,
        };
        self.by_peer.insert(taken.place.peer, taken);
    }

    /// The transfer of a place is over. A later transfer of the same peer keeps its own.
    pub fn ended(&mut self, place: &Place) {
        let current = self.by_peer.get(&place.peer);
        if current.is_some_and(|taken| taken.place.generation == place.generation) {
            self.by_peer.remove(&place.peer);
        }
    }

    /// Keeps the places whose transfers still run.
    pub fn retain(&mut self, runs: impl Fn(&T) -> bool) {
        self.by_peer.retain(|_, taken| runs(&taken.stop));
    }

    fn room(&self, peer: SocketAddr, standing: Standing) -> Room {
        let Limits {
            total,
            strangers,
            of_known,
            of_stranger,
        } = self.limits;
        let of_address = |taken: &Taken<T>| taken.place.peer.ip() == peer.ip();
        let of_strangers = |taken: &Taken<T>| taken.standing == Standing::Stranger;
        let of_one = match standing {
            Standing::Known => of_known,
            Standing::Stranger => of_stranger,
        };
        if self.count(of_address) >= of_one {
            return self.oldest(|taken| of_address(taken) && taken.is_silent());
        }
        let share_is_full = standing == Standing::Stranger && self.count(of_strangers) >= strangers;
        if self.by_peer.len() < total && !share_is_full {
            return Room::There;
        }
        let silent_stranger = self.oldest(|taken| of_strangers(taken) && taken.is_silent());
        if standing == Standing::Stranger || silent_stranger != Room::None {
            return silent_stranger;
        }
        match self.oldest(of_strangers) {
            Room::None => self.oldest(Taken::is_silent),
            stranger => stranger,
        }
    }

    fn count(&self, which: impl Fn(&Taken<T>) -> bool) -> usize {
        self.by_peer.values().filter(|taken| which(taken)).count()
    }

    fn oldest(&self, which: impl Fn(&Taken<T>) -> bool) -> Room {
        let candidates = self.by_peer.values().filter(|taken| which(taken));
        candidates
            .min_by_key(|taken| taken.place.generation)
            .map_or(Room::None, |taken| Room::Instead(taken.place.peer))
    }
}

impl<T> Taken<T> {
    fn is_silent(&self) -> bool {
        !self.place.answered.load(Ordering::Relaxed)
    }
}

/// Where a transfer can go.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    There,
    /// In place of this peer's.
    Instead(SocketAddr),
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits {
        total: 4,
        strangers: 2,
        of_known: 2,
        of_stranger: 2,
    };

    fn peer(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], port))
    }

    /// Asks, and takes the place; the names of those displaced.
    fn ask(
        places: &mut Places<String>,
        peer: SocketAddr,
        standing: Standing,
    ) -> Result<(Place, Vec<String>), &'static str> {
        match places.admit(peer, standing, b"file") {
            Admission::Place(place, displaced) => {
                places.take(place.clone(), standing, b"file", peer.to_string());
                Ok((place, displaced))
            }
            Admission::Repeated => Err("repeated"),
            Admission::Full(_) => Err("full"),
        }
    }

    /// PXE firmware asks for the size, ends that with an error and asks again from the same port. The end of the first
    /// transfer is noticed after the second has started.
    #[test]
    fn an_ended_probe_leaves_the_next_transfer_its_place() {
        let mut places = Places::new(Limits::default());
        let client = peer(1, 2070);
        let Admission::Place(probe, displaced) = places.admit(client, Standing::Known, b"with tsize") else {
            panic!()
        };
        assert!(displaced.is_empty());
        places.take(probe.clone(), Standing::Known, b"with tsize", "probe");
        let Admission::Place(transfer, displaced) = places.admit(client, Standing::Known, b"without") else {
            panic!()
        };
        assert_eq!(displaced, ["probe"]);
        places.take(transfer.clone(), Standing::Known, b"without", "transfer");
        places.ended(&probe);
        assert!(
            matches!(
                places.admit(client, Standing::Known, b"without"),
                Admission::Repeated
            ),
            "a repeated request starts no second transfer to the same port"
        );
        places.ended(&transfer);
        assert!(matches!(
            places.admit(client, Standing::Known, b"without"),
            Admission::Place(..)
        ));
    }

    #[test]
    fn silent_strangers_make_room_the_oldest_first() {
        let mut places = Places::new(SMALL);
        for host in [1, 2] {
            assert!(
                ask(&mut places, peer(host, 1), Standing::Stranger)
                    .unwrap()
                    .1
                    .is_empty()
            );
        }
        let (third, displaced) = ask(&mut places, peer(3, 1), Standing::Stranger).unwrap();
        assert_eq!(displaced, ["10.0.0.1:1"]);
        third.answered();
        assert_eq!(
            ask(&mut places, peer(4, 1), Standing::Stranger).unwrap().1,
            ["10.0.0.2:1"]
        );
        assert_eq!(
            ask(&mut places, peer(5, 1), Standing::Stranger).unwrap().1,
            ["10.0.0.4:1"],
            "the third has answered"
        );
        for (host, expected) in [(5, Err("repeated")), (6, Ok(()))] {
            assert_eq!(
                ask(&mut places, peer(host, 1), Standing::Stranger).map(drop),
                expected
            );
        }
    }

    #[test]
    fn running_transfers_of_strangers_stay_among_strangers() {
        let mut places = Places::new(SMALL);
        for host in [1, 2] {
            ask(&mut places, peer(host, 1), Standing::Stranger)
                .unwrap()
                .0
                .answered();
        }
        assert_eq!(
            ask(&mut places, peer(3, 1), Standing::Stranger).unwrap_err(),
            "full"
        );
        for host in [11, 12] {
            assert!(
                ask(&mut places, peer(host, 1), Standing::Known)
                    .unwrap()
                    .1
                    .is_empty()
            );
        }
        // Every place is taken: the machines of the site come first.
        for (host, displaced) in [(13, "10.0.0.1:1"), (14, "10.0.0.2:1"), (15, "10.0.0.11:1")] {
            assert_eq!(
                ask(&mut places, peer(host, 1), Standing::Known).unwrap().1,
                [displaced]
            );
        }
        assert_eq!(
            ask(&mut places, peer(3, 1), Standing::Stranger).unwrap_err(),
            "full"
        );
    }

    /// Requests that somebody makes up from a machine's address do not keep the machine out.
    #[test]
    fn one_address() {
        for standing in [Standing::Known, Standing::Stranger] {
            let mut places = Places::new(SMALL);
            let (running, _) = ask(&mut places, peer(1, 1), standing).unwrap();
            running.answered();
            ask(&mut places, peer(1, 2), standing).unwrap();
            assert_eq!(ask(&mut places, peer(1, 3), standing).unwrap().1, ["10.0.0.1:2"]);
            let (third, displaced) = ask(&mut places, peer(1, 4), standing).unwrap();
            assert_eq!(displaced, ["10.0.0.1:3"]);
            third.answered();
            assert_eq!(ask(&mut places, peer(1, 5), standing).unwrap_err(), "full");
            places.ended(&running);
            assert!(ask(&mut places, peer(1, 5), standing).is_ok());
        }
    }
}
