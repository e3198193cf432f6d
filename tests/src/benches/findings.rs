//! What a benchmark found.

use super::case::Case;

/// Share of a core from which on it is the load generator that limits a rate.
const CLIENT_BOUND: f64 = 0.9;

/// What a benchmark found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) cases: Vec<Case>,
    /// What the figures are to be read with.
    pub(crate) notes: Vec<String>,
}

impl Findings {
    /// Notes what the load generator used of a core: of several runs the largest share counts.
    pub(crate) fn client(&mut self, what: &str, shares: impl IntoIterator<Item = f64>) {
        let share = shares.into_iter().fold(0.0, f64::max);
        let bound = if share > CLIENT_BOUND {
            "; client-bound"
        } else {
            ""
        };
        let percent = share * 100.0;
        self.notes.push(format!(
            "{what}: the load generator used up to {percent:.0} % of a core{bound}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_load_generator_is_noted() {
        let mut findings = Findings::default();
        findings.client("one", [0.2, 0.93]);
        findings.client("two", [0.9]);
        let bound = |note: &String| note.ends_with("client-bound");
        assert_eq!(
            findings.notes.iter().map(bound).collect::<Vec<_>>(),
            [true, false]
        );
    }
}
