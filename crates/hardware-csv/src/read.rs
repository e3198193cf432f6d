//! From bytes to rows: encoding, header, records, then the checks of cells and of the whole file.

use crate::cells;
use crate::columns::{Column, Header, HeaderFault};
use crate::duplicates;
use crate::fault::{Fault, Faults};
use crate::row::Row;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a whole file.
///
/// # Errors
/// All faults of the file at once; then no row is returned.
pub fn parse(bytes: &[u8], file: &str) -> Result<Vec<Row>, Faults> {
    rows(bytes).map_err(|mut faults| {
        faults.sort_by_key(|fault| (fault.row, fault.column.map_or(0, |(_, number)| number)));
        Faults {
            file: file.to_owned(),
            faults,
        }
    })
}

/// Remarks about the columns of a file that are not read: a misspelled name of a column that may be absent is one.
#[must_use]
pub fn unknown_columns(bytes: &[u8]) -> Vec<Fault> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let Some(Ok(record)) = Records::new(bytes).next() else {
        return Vec::new();
    };
    let unknown = record
        .fields
        .iter()
        .map(|name| name.trim())
        .filter(|name| Column::ALL.iter().all(|column| column.name() != *name));
    unknown
        .map(|name| Fault {
            value: Some(name.to_owned()),
            ..Fault::of_row(
                record.line,
                "the column is not read",
                format!("if it should be, write one of these names: {}", header_line()),
            )
        })
        .collect()
}

fn rows(bytes: &[u8]) -> Result<Vec<Row>, Vec<Fault>> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(vec![Fault::of_row(
            1,
            "the file is UTF-16",
            "save it as \"CSV UTF-8\"",
        )]);
    }
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let mut faults = Vec::new();
    let mut records = Records::new(bytes);
    let header = match records.next() {
        None => {
            let next_step = format!("write a header line: {}", header_line());
            return Err(vec![Fault::of_row(1, "the file is empty", next_step)]);
        }
        Some(Err(fault)) => return Err(vec![fault]),
        Some(Ok(record)) => header(&record)?,
    };
    let mut rows = Vec::new();
    let mut records_seen = 0_usize;
    for record in records {
        records_seen += 1;
        match record {
            Ok(record) if record.fields.len() != header.width => faults.push(wrong_width(&record, &header)),
            Ok(record) => match cells::row(record.line, &header, &record.fields) {
                Ok(row) => rows.push(row),
                Err(found) => {
                    rows.push(*found.partial);
                    faults.extend(found.faults);
                }
            },
            Err(fault) => faults.push(fault),
        }
    }
    if records_seen == 0 {
        faults.push(Fault::of_row(
            1,
            "there is no row below the header",
            "add one row for each machine",
        ));
    }
    faults.extend(duplicates::find(&rows, &header));
    if faults.is_empty() {
        Ok(rows.into_iter().filter_map(cells::PartialRow::complete).collect())
    } else {
        Err(faults)
    }
}

fn header_line() -> String {
    Column::ALL.map(Column::name).join(",")
}

fn header(record: &Record) -> Result<Header, Vec<Fault>> {
    Header::read(&record.fields).map_err(|faults| {
        let semicolons = record.fields.len() == 1 && record.fields.iter().any(|name| name.contains(';'));
        faults
            .into_iter()
            .map(|fault| match fault {
                HeaderFault::Missing(names) => Fault::of_row(
                    record.line,
                    format!("missing required columns in csv: {}", names.join(", ")),
                    if semicolons {
                        "fields are separated by commas, not by semicolons".to_owned()
                    } else {
                        "add them to the first line; their order is free".to_owned()
                    },
                ),
                HeaderFault::Twice(column, number) => Fault::of_cell(
                    record.line,
                    (column, number),
                    column.name(),
                    "the column stands twice",
                    "keep one of the two",
                ),
            })
            .collect()
    })
}

/// A row of another width: its cells may stand in wrong columns, so none of them is shown.
fn wrong_width(record: &Record, header: &Header) -> Fault {
    Fault::of_row(
        record.line,
        format!(
            "the row has {} fields, the header has {}",
            record.fields.len(),
            header.width
        ),
        "add or remove commas; a value with a comma is written in quotes",
    )
}

/// One record with the line it starts on.
struct Record {
    line: u64,
    fields: Vec<String>,
}

/// Records of a file; blank lines are passed over.
struct Records<'a> {
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    /// Bytes whose line feeds are counted in `line`.
    counted: usize,
    line: u64,
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(bytes);
        Self {
            bytes,
            reader,
            counted: 0,
            line: 1,
        }
    }

    /// Line of the first byte at or after `offset` that is not a line end: a reader that stops between CR and LF
    /// tells the line before.
    fn line_at(&mut self, offset: usize) -> u64 {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let start = offset
            + rest
                .iter()
                .take_while(|octet| matches!(octet, b'\r' | b'\n'))
                .count();
        let passed = self.bytes.get(self.counted..start).unwrap_or_default();
        self.line += passed.iter().filter(|octet| **octet == b'\n').count() as u64;
        self.counted = start.max(self.counted);
        self.line
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
            let mut record = csv::ByteRecord::new();
            let more = self.reader.read_byte_record(&mut record);
            let line = self.line_at(offset);
            match more {
                Ok(false) => return None,
                Ok(true) => {}
                Err(error) => return Some(Err(Fault::of_row(line, error.to_string(), "fix the line"))),
            }
            if record.iter().all(|field| field.trim_ascii().is_empty()) {
                continue;
            }
            let fields: Result<Vec<String>, _> = record
                .iter()
                .map(|field| String::from_utf8(field.to_vec()))
                .collect();
            return Some(fields.map_or_else(
                |_| {
                    Err(Fault::of_row(
                        line,
                        "the row is not UTF-8",
                        "save the file as \"CSV UTF-8\"",
                    ))
                },
                |fields| Ok(Record { line, fields }),
            ));
        }
    }
}
