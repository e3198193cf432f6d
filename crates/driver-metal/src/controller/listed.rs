//! The names in a watch, of which a list that begins anew tells by silence what is gone.

use std::collections::{BTreeSet, HashSet};

use kube::Resource;
use kube::runtime::watcher::Event;

use crate::hosts::Place;

/// The names in one watch.
#[derive(Debug, Default)]
pub(super) struct Listed {
    known: BTreeSet<Place>,
    unlisted: HashSet<Place>,
}

impl Listed {
    /// What is there now by an event, and what is gone.
    pub(super) fn take_in<K: Resource>(&mut self, event: Event<K>) -> (Option<K>, Vec<Place>) {
        match event {
            Event::Init => {
                self.unlisted = self.known.iter().cloned().collect();
                (None, Vec::new())
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let place = place(&object);
                self.unlisted.remove(&place);
                self.known.insert(place);
                (Some(object), Vec::new())
            }
            Event::InitDone => {
                let gone: Vec<Place> = self.unlisted.drain().collect();
                for place in &gone {
                    self.known.remove(place);
                }
                (None, gone)
            }
            Event::Delete(object) => {
                let place = place(&object);
                self.known.remove(&place);
                self.unlisted.remove(&place);
                (None, vec![place])
            }
        }
    }
}

fn place(object: &impl Resource) -> Place {
    let meta = object.meta();
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}
