//! Which parts are built side by side: one thread compiles Go programs, which keep every core busy; the other makes
//! trees and images, which mostly wait for the Debian archive, a disk or one thread of a packer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, ScopedJoinHandle};

use crate::error::{Error, Result};
use crate::part::Part;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Compile,
    Assemble,
}

impl Lane {
    const ALL: [Self; 2] = [Self::Compile, Self::Assemble];

    const fn of(part: Part) -> Self {
        match part {
            Part::Kubernetes | Part::Etcd | Part::Coredns | Part::Flannel => Self::Compile,
            Part::Cilium | Part::Debian | Part::Containers | Part::Boot | Part::NodeDebian => Self::Assemble,
        }
    }
}

/// Builds `parts`, at most one in each lane and each after those of its inputs that are among them. The first failure
/// sets `cancel`, so that the other lane ends too, and is what is returned.
pub(crate) fn build<T: Send>(
    parts: &[Part],
    cancel: &AtomicBool,
    work: impl Fn(Part) -> Result<T> + Sync,
) -> Result<BTreeMap<Part, T>> {
    let work = &work;
    let (ended, ends) = mpsc::channel();
    thread::scope(|scope| {
        let mut open: BTreeSet<Part> = parts.iter().copied().collect();
        let mut running: BTreeMap<Part, ScopedJoinHandle<'_, Result<T>>> = BTreeMap::new();
        let mut finished = BTreeMap::new();
        let mut failure: Option<Error> = None;
        loop {
            while let Some(part) = next(&open, &running).filter(|_| failure.is_none()) {
                open.remove(&part);
                let notice = Notice(part, ended.clone());
                let run = scope.spawn(move || {
                    let _notice = notice;
                    work(part)
                });
                running.insert(part, run);
            }
            if running.is_empty() {
                break;
            }
            let Ok(part) = ends.recv() else { break };
            let Some(run) = running.remove(&part) else {
                continue;
            };
            match run.join() {
                Ok(Ok(result)) => {
                    finished.insert(part, result);
                }
                Ok(Err(error)) => {
                    cancel.store(true, Ordering::SeqCst);
                    failure.get_or_insert(error);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        failure.map_or(Ok(finished), Err)
    })
}

/// The first part whose lane is free and whose inputs are neither open nor running.
fn next<T>(open: &BTreeSet<Part>, running: &BTreeMap<Part, T>) -> Option<Part> {
    let busy = |lane| running.keys().any(|&part| Lane::of(part) == lane);
    let free: Vec<Lane> = Lane::ALL.into_iter().filter(|&lane| !busy(lane)).collect();
    let waits = |part: Part| {
        let mut inputs = part.inputs().iter();
        inputs.any(|input| open.contains(input) || running.contains_key(input))
    };
    open.iter()
        .copied()
        .find(|&part| free.contains(&Lane::of(part)) && !waits(part))
}

/// Says that a part has ended, also when it panicked.
struct Notice(Part, mpsc::Sender<Part>);

impl Drop for Notice {
    fn drop(&mut self) {
        // Nobody listens any more only when the build is over.
        let _ = self.1.send(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Barrier, Mutex};

    #[test]
    fn debian_is_unpacked_while_programs_compile() {
        let both = Barrier::new(2);
        let order = Mutex::new(Vec::new());
        let built = build(&Part::ALL, &AtomicBool::new(false), |part| {
            if matches!(part, Part::Kubernetes | Part::Debian) {
                both.wait();
            }
            order.lock().unwrap().push(part);
            Ok(())
        });
        assert_eq!(built.unwrap().into_keys().collect::<Vec<_>>(), Part::ALL);
        let order = order.into_inner().unwrap();
        let at = |part| order.iter().position(|&done| done == part).unwrap();
        for part in Part::ALL {
            for &input in part.inputs() {
                assert!(at(input) < at(part), "{part:?} before {input:?}: {order:?}");
            }
        }
    }

    #[test]
    fn a_failure_stops_the_other_lane_and_is_what_one_hears() {
        let cancel = AtomicBool::new(false);
        let built = build(&Part::ALL, &cancel, |part| match part {
            Part::Debian => Err(Error::Recipe {
                file: "debian".into(),
                reason: "no archive".into(),
            }),
            Part::Kubernetes => {
                while !cancel.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                Err(Error::Cancelled)
            }
            _ => Ok(()),
        });
        let text = built.unwrap_err().to_string();
        assert!(text.contains("no archive"), "{text}");
    }

    #[test]
    fn parts_whose_inputs_are_there_already_start_at_once() {
        let built = build(&[Part::Boot], &AtomicBool::new(false), |part| Ok(part.name())).unwrap();
        assert_eq!(built.into_values().collect::<Vec<_>>(), ["boot"]);
        let none = build(&[], &AtomicBool::new(false), |part| Ok(part.name())).unwrap();
        assert!(none.is_empty());
    }
}
