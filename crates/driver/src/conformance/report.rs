//! The result, as a table for people.

use std::fmt;

use super::verdict::Verdict;

/// All cases that were asked for.
#[derive(Debug, Clone)]
pub struct Report {
    /// Name and version of the driver.
    pub driver: String,
    /// One for each case.
    pub rows: Vec<Row>,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Row {
    /// Letter of its group and number.
    pub id: &'static str,
    /// What the driver has to do.
    pub title: &'static str,
    /// How it ended.
    pub verdict: Verdict,
}

impl Report {
    /// Whether no case has failed.
    #[must_use]
    pub fn conforms(&self) -> bool {
        !self
            .rows
            .iter()
            .any(|row| matches!(row.verdict, Verdict::Failed(_)))
    }

    /// Cases that passed, failed, and were not run.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |fits: fn(&Verdict) -> bool| self.rows.iter().filter(|row| fits(&row.verdict)).count();
        (
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
            count(|verdict| matches!(verdict, Verdict::NotRun(_))),
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verdict, why) = match &self.verdict {
            Verdict::Passed => ("passed", None),
            Verdict::Failed(why) => ("FAILED", Some(why)),
            Verdict::NotRun(why) => ("not run", Some(why)),
        };
        write!(f, "{:<4} {verdict:<8} {}", self.id, self.title)?;
        match why {
            Some(why) => write!(f, "\n              {why}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        let (passed, failed, not_run) = self.counts();
        write!(
            f,
            "{}: {passed} passed, {failed} failed, {not_run} not run",
            self.driver
        )
    }
}
