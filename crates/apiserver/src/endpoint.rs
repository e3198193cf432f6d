//! Which verbs each kind of path takes: the table that routing, authorization, discovery and OpenAPI read. Pure.

use http::Method;

use crate::kinds::Origin;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// The verb that a method asks for, before anything is known of the path. `named`: the path names an object.
    pub(crate) fn of(method: &Method, named: bool, watch: bool) -> Option<Verb> {
        Some(match (method, named) {
            (&Method::GET | &Method::HEAD, _) if watch => Verb::Watch,
            (&Method::GET | &Method::HEAD, true) => Verb::Get,
            (&Method::GET | &Method::HEAD, false) => Verb::List,
            (&Method::POST, _) => Verb::Create,
            (&Method::PUT, _) => Verb::Update,
            (&Method::PATCH, _) => Verb::Patch,
            (&Method::DELETE, true) => Verb::Delete,
            (&Method::DELETE, false) => Verb::DeleteCollection,
            _ => return None,
        })
    }

    /// Its name in rules and discovery.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Patch => "patch",
            Verb::Update => "update",
            Verb::Watch => "watch",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Verb::Create => "POST",
            Verb::Delete | Verb::DeleteCollection => "DELETE",
            Verb::Get | Verb::List | Verb::Watch => "GET",
            Verb::Patch => "PATCH",
            Verb::Update => "PUT",
        }
    }
}

/// What a path addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Objects of a namespace, or of a kind without namespaces.
    Collection,
    /// Objects of all namespaces.
    AllNamespaces,
    /// One object.
    Object,
    /// Its `status`.
    Status,
    /// Its `scale`.
    Scale,
}

/// The verbs of a place; none when there is no such path.
pub(crate) fn verbs(origin: Origin, place: Place) -> &'static [Verb] {
    use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
    match (origin, place) {
        (Origin::Builtin | Origin::Custom, Place::Collection) => {
            &[Create, DeleteCollection, List, Patch, Watch]
        }
        (Origin::Builtin | Origin::Custom, Place::AllNamespaces) => &[List, Watch],
        (Origin::Builtin | Origin::Custom, Place::Object) => &[Delete, Get, Patch, Update, Watch],
        (Origin::Builtin | Origin::Custom, Place::Status) | (Origin::Custom, Place::Scale) => {
            &[Get, Patch, Update]
        }
        (Origin::Records, Place::Collection) => &[List, Watch],
        (Origin::Records, Place::Object) => &[Get, Watch],
        (Origin::Virtual, Place::Collection) => &[Create],
        (Origin::Records | Origin::Virtual, _) | (Origin::Builtin, Place::Scale) => &[],
    }
}

/// Names of the verbs of a kind or subresource, as discovery lists them.
pub(crate) fn names(origin: Origin, places: &[Place]) -> Vec<&'static str> {
    let all = places.iter().flat_map(|place| verbs(origin, *place));
    let mut names: Vec<&str> = all.map(|verb| verb.name()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Value of the `Allow` header of a place.
pub(crate) fn allow(verbs: &[Verb]) -> String {
    let mut methods: Vec<&str> = verbs.iter().map(|verb| verb.method()).collect();
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINS: [Origin; 4] = [Origin::Builtin, Origin::Custom, Origin::Records, Origin::Virtual];
    const PLACES: [Place; 5] = [
        Place::Collection,
        Place::AllNamespaces,
        Place::Object,
        Place::Status,
        Place::Scale,
    ];

    /// Every verb of the table is what some method asks for at that place, and nothing else gets through.
    #[test]
    fn methods_reach_the_verbs_of_the_table_only() {
        let methods = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        for origin in ORIGINS {
            for place in PLACES {
                let named = matches!(place, Place::Object | Place::Status | Place::Scale);
                let asked: Vec<Verb> = methods
                    .iter()
                    .flat_map(|method| [false, true].map(|watch| Verb::of(method, named, watch)))
                    .flatten()
                    .collect();
                for verb in verbs(origin, place) {
                    assert!(asked.contains(verb), "{origin:?} {place:?} {verb:?}");
                }
            }
        }
        assert_eq!(Verb::of(&Method::OPTIONS, true, false), None);
    }

    #[test]
    fn a_subresource_is_never_deleted_or_created() {
        for origin in ORIGINS {
            for place in [Place::Status, Place::Scale] {
                let verbs = verbs(origin, place);
                assert!(
                    !verbs.contains(&Verb::Delete) && !verbs.contains(&Verb::Create),
                    "{origin:?} {place:?}"
                );
            }
        }
        assert_eq!(allow(verbs(Origin::Custom, Place::Status)), "GET, PATCH, PUT");
        assert_eq!(
            allow(verbs(Origin::Custom, Place::Collection)),
            "DELETE, GET, PATCH, POST"
        );
    }

    #[test]
    fn discovery_names_each_verb_once() {
        let names = names(Origin::Custom, &[Place::Collection, Place::Object]);
        let all = [
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ];
        assert_eq!(names, all);
    }
}
