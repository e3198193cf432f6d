//! What is wrong with a file: place, value, reason and next step.

use std::fmt;

use crate::columns::Column;

/// Longest piece of a wrong value that is shown.
const SHOWN: usize = 60;

/// One fault or remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line of the file, from 1; the header is line 1 of an ordinary file.
    pub row: u64,
    /// Name and number (from 1) of the column, when the fault has one.
    pub column: Option<(&'static str, usize)>,
    /// The value, shortened; never a password.
    pub value: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub next_step: String,
}

impl Fault {
    /// A fault of a whole row.
    pub(crate) fn of_row(row: u64, reason: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            row,
            column: None,
            value: None,
            reason: reason.into(),
            next_step: next_step.into(),
        }
    }

    /// A fault of one cell.
    pub(crate) fn of_cell(
        row: u64,
        (column, number): (Column, usize),
        value: &str,
        reason: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        let shown = (column != Column::BmcPassword).then(|| {
            let mut shown: String = value.chars().take(SHOWN).collect();
            if shown.len() < value.len() {
                shown.push('\u{2026}');
            }
            shown
        });
        Self {
            row,
            column: Some((column.name(), number)),
            value: shown,
            reason: reason.into(),
            next_step: next_step.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}", self.row)?;
        if let Some((name, number)) = self.column {
            write!(f, ", column {number} ({name})")?;
        }
        if let Some(value) = &self.value {
            write!(f, ", value {value:?}")?;
        }
        write!(f, ": {}; {}", self.reason, self.next_step)
    }
}

/// All faults of one file, in the order of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// Name of the file.
    pub file: String,
    /// The faults; never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        write!(
            f,
            "{}: {count} {}, nothing was read",
            self.file,
            if count == 1 { "fault" } else { "faults" }
        )?;
        for fault in &self.faults {
            write!(f, "\n  {}: {fault}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
