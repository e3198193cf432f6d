//! No state yet. Exit: PREPARING, or FAILED when the Template cannot be rendered; both by the effect. Rest: disabled.

use super::{Effect, Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    if snapshot.workflow.spec.disabled == Some(true) {
        Step::rest()
    } else {
        Step::Do(Effect::Render)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;

    #[test]
    fn it_is_rendered_once_it_is_enabled() {
        let mut sample = Sample::unrendered();
        assert_eq!(sample.step(at(0)), Step::Do(Effect::Render));
        sample.workflow.spec.disabled = Some(true);
        assert_eq!(sample.step(at(0)), Step::rest());
        sample.workflow.spec.disabled = Some(false);
        assert_eq!(sample.step(at(0)), Step::Do(Effect::Render));
    }
}
