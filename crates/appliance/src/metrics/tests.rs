//! The table of metrics in `docs/metrics.md` is made of what the program describes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Begins the table in the document.
const HEADING: &str = "## All metrics\n\n";

/// A row of the table, without its name: type, unit, meaning.
type Row = (&'static str, Option<Unit>, String);

/// Takes descriptions in, and counts nothing.
#[derive(Debug, Default)]
struct Descriptions(Mutex<BTreeMap<String, Row>>);

impl Descriptions {
    fn note(&self, name: KeyName, kind: &'static str, unit: Option<Unit>, meaning: SharedString) {
        let row = (kind, unit, (*meaning).to_owned());
        let before = self.0.lock().unwrap().insert(name.as_str().to_owned(), row);
        assert_eq!(before, None, "{} is described twice", name.as_str());
    }
}

impl Recorder for Descriptions {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.note(key, "counter", unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.note(key, "gauge", unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.note(key, "histogram", unit, description);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn table() -> String {
    let descriptions = Descriptions::default();
    metrics::with_local_recorder(&descriptions, super::describe);
    let mut table = "| metric | type | unit | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, (kind, unit, meaning)) in descriptions.0.into_inner().unwrap() {
        let unit = unit.map_or("", |unit| match unit {
            Unit::Count => "",
            unit => unit.as_str(),
        });
        writeln!(table, "| `{name}` | {kind} | {unit} | {meaning} |").unwrap();
    }
    table
}

#[test]
fn the_document_has_the_table_of_what_is_described() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, documented) = document.split_once(HEADING).unwrap();
    let table = table();
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        return std::fs::write(&path, format!("{before}{HEADING}{table}")).unwrap();
    }
    assert_eq!(
        documented, table,
        "write it anew with INSTA_UPDATE=always cargo test -p appliance"
    );
}
