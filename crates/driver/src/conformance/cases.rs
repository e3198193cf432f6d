//! All cases, in the order in which they are run.

mod crash;
mod create;
mod delete;
mod faults;
mod hygiene;
mod listing;
mod observe;
mod protocol;
mod schema;
mod scope;

use super::case::Case;

pub(super) fn all() -> impl Iterator<Item = Case> {
    let groups = [
        protocol::CASES,
        schema::CASES,
        scope::CASES,
        create::CASES,
        observe::CASES,
        listing::CASES,
        delete::CASES,
        crash::CASES,
        faults::CASES,
        hygiene::CASES,
    ];
    groups.into_iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_case_has_an_id_of_its_own() {
        let ids: Vec<&str> = super::all().map(|case| case.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
