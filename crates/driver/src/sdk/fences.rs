//! The highest fence that was seen of each installation. A process alone knows this much; two cores on two hosts are told
//! apart by the provider's own uniqueness.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::fault::Fault;
use crate::v1::{Owner, Reason};

/// Highest fences by installation.
#[derive(Debug, Default)]
pub(super) struct Fences {
    highest: Mutex<HashMap<String, u64>>,
}

impl Fences {
    /// Lets a call that changes something pass, unless a later leader of the same core has called already.
    pub(super) fn pass(&self, owner: &Owner) -> Result<(), Fault> {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = highest.entry(owner.installation_id.clone()).or_default();
        if owner.fence < *seen {
            let message = format!(
                "a leader with fence {seen} has taken over from the one with fence {}",
                owner.fence
            );
            return Err(Fault::new(Reason::Fenced, message).without_effect());
        }
        *seen = owner.fence;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Fences;
    use crate::v1::{Owner, Reason};

    fn owner(installation: &str, fence: u64) -> Owner {
        Owner {
            installation_id: installation.to_owned(),
            fence,
            ..Owner::default()
        }
    }

    #[test]
    fn a_leader_of_the_past_is_refused() {
        let fences = Fences::default();
        for fence in [3, 3, 5] {
            assert_eq!(fences.pass(&owner("a", fence)), Ok(()));
        }
        let refused = fences.pass(&owner("a", 4)).expect_err("it is lower than 5");
        assert_eq!(refused.reason(), Reason::Fenced);
        assert!(!refused.is_outcome_unknown());
        assert_eq!(fences.pass(&owner("b", 1)), Ok(()), "another installation");
    }
}
