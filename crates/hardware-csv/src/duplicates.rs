//! What must be unique in a file, compared by meaning and not by spelling.

use std::collections::HashMap;
use std::hash::Hash;

use crate::cells::PartialRow;
use crate::columns::{Column, Header};
use crate::fault::Fault;

/// Every second and later use of an address or a name, with the row that has it first.
pub(crate) fn find(rows: &[PartialRow], header: &Header) -> Vec<Fault> {
    let mut faults = Vec::new();
    repeated(rows, header, Column::IpAddress, |row| row.ip, &mut faults);
    repeated(rows, header, Column::Mac, |row| row.mac, &mut faults);
    repeated(
        rows,
        header,
        Column::Hostname,
        |row| row.hostname.clone(),
        &mut faults,
    );
    let place = |row: &PartialRow| {
        row.bmc_place
            .map(|(ip, port)| port.map_or_else(|| ip.to_string(), |port| format!("{ip} with port {port}")))
    };
    repeated(rows, header, Column::BmcIp, place, &mut faults);
    faults
}

fn repeated<T: Eq + Hash + ToString>(
    rows: &[PartialRow],
    header: &Header,
    column: Column,
    value: impl Fn(&PartialRow) -> Option<T>,
    faults: &mut Vec<Fault>,
) {
    let mut first: HashMap<T, &PartialRow> = HashMap::new();
    for row in rows {
        let Some(value) = value(row) else { continue };
        let shown = value.to_string();
        match first.get(&value) {
            Some(earlier) => {
                let name = earlier
                    .hostname
                    .as_deref()
                    .map_or_else(String::new, |name| format!(" ({name})"));
                faults.push(Fault::of_cell(
                    row.line,
                    (column, header.number(column)),
                    &shown,
                    format!("row {}{name} has the same {}", earlier.line, column.name()),
                    "each machine needs its own",
                ));
            }
            None => {
                first.insert(value, row);
            }
        }
    }
}
