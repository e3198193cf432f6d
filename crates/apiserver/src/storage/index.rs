//! Which objects of a resource have a value in a label or field: made when a selector first asks for it, and kept up to
//! date with every change, so that a lookup costs what it finds instead of a look at every object.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use super::stored::Stored;
use crate::meta::fields;

/// Namespace and name.
type Place = (String, String);

/// Labels and fields of a resource that are looked up by index; what is asked for beyond them is looked for in all
/// objects.
const MOST: usize = 16;

/// What a selector can look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Term {
    /// A label, by its key.
    Label(String),
    /// A field, by its path such as `spec.bmc`. Objects in which it is absent or empty are not found by it.
    Field(String),
}

impl Term {
    fn value(&self, object: &Stored) -> Option<String> {
        match self {
            Term::Label(wanted) => {
                let mut labels = object.labels();
                let found = labels.find(|(key, _)| key == wanted);
                found.map(|(_, value)| value.to_owned())
            }
            Term::Field(path) => {
                Some(fields::text_in(object.json_without_managers(), path)).filter(|text| !text.is_empty())
            }
        }
    }
}

/// The values of a term with the objects that have them. One set for all values: most values are those of one object.
type Index = BTreeSet<(String, Place)>;

/// The indexes of a resource.
#[derive(Debug, Default)]
pub(super) struct Indexes(HashMap<Term, Index>);

impl Indexes {
    pub(super) fn has(&self, term: &Term) -> bool {
        self.0.contains_key(term)
    }

    /// Makes one of these objects; false when there are enough already.
    pub(super) fn make<'a>(&mut self, term: &Term, objects: impl Iterator<Item = &'a Stored>) -> bool {
        if self.0.len() >= MOST {
            return false;
        }
        let mut index = Index::new();
        for object in objects {
            if let Some(value) = term.value(object) {
                index.insert((value, place(object)));
            }
        }
        self.0.insert(term.clone(), index);
        true
    }

    /// The places of those that have this value, in order.
    pub(super) fn find<'a>(
        &'a self,
        term: &Term,
        value: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let first = (namespace.unwrap_or_default().to_owned(), String::new());
        let from = (value.to_owned(), first);
        let index = self.0.get(term).into_iter();
        index
            .flat_map(move |index| index.range((Bound::Included(from.clone()), Bound::Unbounded)))
            .take_while(move |(found, _)| found == value)
            .map(|(_, place)| place)
            .take_while(move |(ns, _)| namespace.is_none_or(|namespace| ns == namespace))
            .map(|(namespace, name)| (namespace.as_str(), name.as_str()))
    }

    /// An object came, changed or went.
    pub(super) fn change(&mut self, before: Option<&Stored>, now: Option<&Stored>) {
        for (term, index) in &mut self.0 {
            let entry = |object: &Stored| Some((term.value(object)?, place(object)));
            let (before, now) = (before.and_then(entry), now.and_then(entry));
            if before == now {
                continue;
            }
            if let Some(before) = before {
                index.remove(&before);
            }
            index.extend(now);
        }
    }
}

fn place(object: &Stored) -> Place {
    (object.namespace().to_owned(), object.name().to_owned())
}
