//! Objects as the sets of the cache hold them: ordered and found by what stands in the objects themselves, so that no set
//! needs a copy of it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Key;
use super::stored::Stored;

/// What tells where an object stands in the order of its resource.
pub(super) trait Placed {
    /// Namespace and name.
    fn place(&self) -> (&str, &str);
}

impl Placed for (&str, &str) {
    fn place(&self) -> (&str, &str) {
        *self
    }
}

impl PartialEq for dyn Placed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Placed + '_ {}

impl PartialOrd for dyn Placed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Placed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// An object among those of its resource.
#[derive(Debug)]
pub(super) struct ByPlace(pub(super) Arc<Stored>);

impl Placed for ByPlace {
    fn place(&self) -> (&str, &str) {
        self.0.place()
    }
}

impl<'a> Borrow<dyn Placed + 'a> for ByPlace {
    fn borrow(&self) -> &(dyn Placed + 'a) {
        self
    }
}

impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for ByPlace {}

impl PartialOrd for ByPlace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByPlace {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// An object among all, by its uid.
#[derive(Debug)]
pub(super) struct ByUid {
    pub(super) resource: Arc<str>,
    pub(super) object: Arc<Stored>,
}

impl ByUid {
    pub(super) fn key(&self) -> Key {
        key_of(&self.resource, &self.object)
    }
}

impl Borrow<str> for ByUid {
    fn borrow(&self) -> &str {
        self.object.uid()
    }
}

impl PartialEq for ByUid {
    fn eq(&self, other: &Self) -> bool {
        self.object.uid() == other.object.uid()
    }
}

impl Eq for ByUid {}

impl Hash for ByUid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.object.uid().hash(state);
    }
}

/// What tells where an object stands among those that have owners: uid of the owner, and then resource, namespace and name
/// where it is an object and not only an owner.
pub(super) trait Owned {
    fn owned(&self) -> (&str, Option<(&str, &str, &str)>);
}

impl Owned for &str {
    fn owned(&self) -> (&str, Option<(&str, &str, &str)>) {
        (*self, None)
    }
}

impl PartialEq for dyn Owned + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.owned() == other.owned()
    }
}

impl Eq for dyn Owned + '_ {}

impl PartialOrd for dyn Owned + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Owned + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.owned().cmp(&other.owned())
    }
}

/// An object among those that have owners, once for each of them.
#[derive(Debug)]
pub(super) struct ByOwner {
    pub(super) resource: Arc<str>,
    pub(super) object: Arc<Stored>,
    /// Which of its owners.
    pub(super) owner: usize,
}

impl ByOwner {
    pub(super) fn key(&self) -> Key {
        key_of(&self.resource, &self.object)
    }

    pub(super) fn owner(&self) -> &str {
        self.object.owners().nth(self.owner).unwrap_or_default()
    }
}

impl Owned for ByOwner {
    fn owned(&self) -> (&str, Option<(&str, &str, &str)>) {
        let (namespace, name) = self.object.place();
        (self.owner(), Some((&self.resource, namespace, name)))
    }
}

impl<'a> Borrow<dyn Owned + 'a> for ByOwner {
    fn borrow(&self) -> &(dyn Owned + 'a) {
        self
    }
}

impl PartialEq for ByOwner {
    fn eq(&self, other: &Self) -> bool {
        self.owned() == other.owned()
    }
}

impl Eq for ByOwner {}

impl PartialOrd for ByOwner {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByOwner {
    fn cmp(&self, other: &Self) -> Ordering {
        self.owned().cmp(&other.owned())
    }
}

fn key_of(resource: &Arc<str>, object: &Stored) -> Key {
    Key {
        resource: Arc::clone(resource),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
    }
}
