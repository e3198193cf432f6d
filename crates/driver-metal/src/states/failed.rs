//! `failed`: stopped, the reason stands in the status. Left by deletion only.

use crate::step::Step;

pub(super) const fn decide() -> Step {
    Step::rest()
}
