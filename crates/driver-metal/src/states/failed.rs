//! `failed`: stopped, the reason stands in the status. Left by deletion, or with another installation that is wanted.

use crate::step::Step;

pub(super) const fn decide() -> Step {
    Step::rest()
}
