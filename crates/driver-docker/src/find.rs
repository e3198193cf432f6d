//! What there is for the owner of a machine.

use driver::Fault;
use driver::v1::{Owner, Reason};

use crate::daemon::{Container, Daemon};
use crate::marks::{self, INSTALLATION, MACHINE_UID};

/// What there is.
#[derive(Debug)]
pub(crate) enum Found {
    /// It bears the mark.
    Ours(Box<Container>),
    /// It has the name alone.
    Foreign,
    Nothing,
}

impl Found {
    /// The machine, where there is one.
    ///
    /// # Errors
    /// When somebody else has its name.
    pub(crate) fn ours(self, owner: &Owner) -> Result<Option<Box<Container>>, Fault> {
        match self {
            Self::Ours(container) => Ok(Some(container)),
            Self::Nothing => Ok(None),
            Self::Foreign => Err(foreign(owner)),
        }
    }
}

/// Looks for the mark, then for the name. The machine may come between the two questions.
pub(crate) async fn find(daemon: &Daemon, owner: &Owner) -> Result<Found, Fault> {
    let marked = daemon.labelled(&labels(owner)).await?;
    if let Some(container) = chosen(marked, &owner.machine_name) {
        return Ok(Found::Ours(Box::new(container)));
    }
    Ok(match daemon.named(&owner.machine_name).await? {
        None => Found::Nothing,
        Some(container) if marks::are_of(&container.labels, owner) => Found::Ours(Box::new(container)),
        Some(_) => Found::Foreign,
    })
}

fn labels(owner: &Owner) -> [String; 2] {
    [
        format!("{INSTALLATION}={}", owner.installation_id),
        format!("{MACHINE_UID}={}", owner.machine_uid),
    ]
}

/// Docker gives a container the labels of its image, so a container of an image that was committed from a machine bears
/// the marks too: the machine is the one with the name, else the oldest.
fn chosen(marked: Vec<Container>, name: &str) -> Option<Container> {
    marked
        .into_iter()
        .min_by_key(|container| (container.name() != name, container.created, container.id.clone()))
}

/// Somebody else has the name.
pub(crate) fn foreign(owner: &Owner) -> Fault {
    let text = format!(
        "container {} exists and does not bear the mark of this machine",
        owner.machine_name
    );
    Fault::new(Reason::Foreign, text).without_effect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::chosen;
    use crate::daemon::Container;

    fn container(id: &str, name: &str, created: i64) -> Container {
        let names = [format!("/{name}")];
        serde_json::from_value(json!({"Id": id, "Names": names, "State": "running", "Created": created}))
            .unwrap()
    }

    #[test]
    fn of_several_that_bear_the_marks_the_named_one_is_the_machine() {
        let copies = || vec![container("1", "copy", 1), container("2", "copy-2", 2)];
        assert_eq!(chosen(copies(), "prod-x").unwrap().id, "1");
        let mut with_named = copies();
        with_named.push(container("3", "prod-x", 3));
        assert_eq!(chosen(with_named, "prod-x").unwrap().id, "3");
        assert!(chosen(Vec::new(), "prod-x").is_none());
    }
}
