//! The table from what is named to who names it.
//!
//! A reconciliation notes what its object names before it reads anything. A change of the other object that comes
//! earlier needs no wake, because that reconciliation is still to come and sees it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};

/// Namespace and name.
type Place = (String, String);

/// Who names what. Each object names at most one other. Clones share the table.
#[derive(Debug, Clone, Default)]
pub struct BackReferences {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    /// What is named, and by whom.
    by: HashMap<Place, BTreeSet<Place>>,
    /// Who names, and what.
    names: HashMap<Place, Place>,
}

impl BackReferences {
    /// From now on `object` names the object `other` of that namespace, or none.
    pub fn note<K: Resource>(&self, object: &K, namespace: &str, other: Option<&str>) {
        let place = (object.namespace().unwrap_or_default(), object.name_any());
        let other = other.map(|other| (namespace.to_owned(), other.to_owned()));
        self.lock().set(place, other);
    }

    /// Those in the store that name this object. What has left the store is forgotten.
    #[must_use]
    pub fn of<K>(&self, store: &Store<K>, namespace: &str, other: &str) -> Vec<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let mut tables = self.lock();
        let other = (namespace.to_owned(), other.to_owned());
        let places = tables.by.get(&other).cloned().unwrap_or_default();
        let found = places.into_iter().filter_map(|place| {
            let found = store.get(&ObjectRef::new(&place.1).within(&place.0));
            if found.is_none() {
                tables.set(place, None);
            }
            found
        });
        found.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn set(&mut self, place: Place, other: Option<Place>) {
        if self.names.get(&place) == other.as_ref() {
            return;
        }
        if let Some(old) = self.names.remove(&place)
            && let Some(places) = self.by.get_mut(&old)
        {
            places.remove(&place);
            if places.is_empty() {
                self.by.remove(&old);
            }
        }
        if let Some(other) = other {
            self.by.entry(other.clone()).or_default().insert(place.clone());
            self.names.insert(place, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use resources::gantry::{Server, ServerSpec};

    use super::*;

    fn server(name: &str) -> Server {
        let mut server = Server::new(name, ServerSpec::default());
        server.metadata.namespace = Some("n".into());
        server
    }

    #[test]
    fn a_change_moves_the_reference_and_what_is_gone_is_forgotten() {
        let (reader, mut writer) = store::<Server>();
        let references = BackReferences::default();
        let of = |other: &str| -> Vec<String> {
            let found = references.of(&reader, "n", other);
            found.iter().map(|server| server.name_any()).collect()
        };
        for name in ["a", "b", "c"] {
            writer.apply_watcher_event(&Event::Apply(server(name)));
            references.note(&server(name), "n", Some("bmc-1"));
        }
        assert_eq!(of("bmc-1"), ["a", "b", "c"]);
        references.note(&server("a"), "n", Some("bmc-2"));
        references.note(&server("b"), "n", None);
        assert_eq!((of("bmc-1"), of("bmc-2")), (vec!["c".into()], vec!["a".into()]));
        assert!(references.of(&reader, "other", "bmc-2").is_empty());
        for name in ["a", "c"] {
            writer.apply_watcher_event(&Event::Delete(server(name)));
        }
        assert!(of("bmc-1").is_empty() && of("bmc-2").is_empty());
        let tables = references.lock();
        assert!(tables.by.is_empty() && tables.names.is_empty(), "{tables:?}");
    }
}
