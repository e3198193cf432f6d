//! The text format of Prometheus, version 0.0.4, read strictly: what breaks a rule of the format fails the test.
//!
//! By hand, because the parsers at hand either take everything or have licences or dependencies that are not allowed here.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    #[default]
    Untyped,
    Counter,
    Gauge,
    Histogram,
    Summary,
}

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: Kind,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    /// With the suffix of a histogram's part.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// All metrics of one answer.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    families: BTreeMap<String, Family>,
    /// The family of the line before.
    last: String,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut exposition = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            exposition
                .line(line)
                .unwrap_or_else(|| panic!("{line:?} breaks the format"));
        }
        for (name, family) in &exposition.families {
            family.check(name);
        }
        exposition
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = (&String, &Family)> {
        self.families.iter()
    }

    /// Sum of the samples of a family that have these labels, of a histogram their number; nothing when there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let family = self.families.get(name)?;
        let counted = match family.kind {
            Kind::Histogram => format!("{name}_count"),
            _ => name.to_owned(),
        };
        let has = |sample: &&Sample| {
            let mut wanted = labels.iter();
            let has =
                |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|known| known == value);
            sample.name == counted && wanted.all(has)
        };
        let values: Vec<f64> = family
            .samples
            .iter()
            .filter(has)
            .map(|sample| sample.value)
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(comment) = line.strip_prefix("# ") {
            let (what, rest) = comment.split_once(' ')?;
            let (name, text) = rest.split_once(' ')?;
            let family = self.enter(name)?;
            assert!(family.samples.is_empty(), "{name} is described after its samples");
            match what {
                "HELP" if family.help.is_empty() => family.help = text.to_owned(),
                "TYPE" if family.kind == Kind::Untyped => family.kind = kind(text)?,
                _ => return None,
            }
            return Some(());
        }
        let sample = sample(line)?;
        let family = self.family_of(&sample.name);
        let samples = &mut self.enter(&family)?.samples;
        let known = |other: &Sample| other.name == sample.name && other.labels == sample.labels;
        assert!(!samples.iter().any(known), "{line:?} is there twice");
        samples.push(sample);
        Some(())
    }

    /// The family of a name whose lines stand together.
    fn enter(&mut self, name: &str) -> Option<&mut Family> {
        is_name(name, true).then_some(())?;
        if self.last != name {
            assert!(!self.families.contains_key(name), "{name} stands in two places");
            name.clone_into(&mut self.last);
        }
        Some(self.families.entry(name.to_owned()).or_default())
    }

    fn family_of(&self, sample: &str) -> String {
        let of_parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
            let name = sample.strip_suffix(part)?;
            let family = self.families.get(name)?;
            matches!(family.kind, Kind::Histogram | Kind::Summary).then(|| name.to_owned())
        });
        of_parts.unwrap_or_else(|| sample.to_owned())
    }
}

impl Family {
    fn check(&self, name: &str) {
        match self.kind {
            Kind::Counter => {
                assert!(name.ends_with("_total"), "{name} is a counter");
                let bad = self
                    .samples
                    .iter()
                    .find(|sample| sample.value.is_nan() || sample.value < 0.0);
                assert_eq!(bad, None);
            }
            Kind::Histogram => self.check_histogram(name),
            Kind::Gauge | Kind::Summary | Kind::Untyped => {}
        }
    }

    /// Buckets of one set of labels ascend, count up, and end at infinity with the whole count.
    fn check_histogram(&self, name: &str) {
        let mut sets: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        let (mut counts, mut sums) = (BTreeMap::new(), BTreeSet::new());
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            match sample.name.strip_prefix(name).unwrap() {
                "_bucket" => {
                    let limit = number(&labels.remove("le").unwrap()).unwrap();
                    sets.entry(labels).or_default().push((limit, sample.value));
                }
                "_count" => drop(counts.insert(labels, sample.value)),
                "_sum" => drop(sums.insert(labels)),
                other => panic!("{name} is a histogram, and has {other:?}"),
            }
        }
        assert_eq!(counts.keys().collect::<Vec<_>>(), sums.iter().collect::<Vec<_>>());
        assert_eq!(counts.len(), sets.len());
        for (labels, buckets) in sets {
            assert!(
                buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
                "{buckets:?}"
            );
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, counts[&labels])), "{name}");
        }
    }
}

fn kind(text: &str) -> Option<Kind> {
    Some(match text {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        _ => return None,
    })
}

fn is_name(text: &str, colon: bool) -> bool {
    let good = |c: char| c == '_' || colon && c == ':' || c.is_ascii_alphabetic();
    let mut rest = text.chars();
    rest.next().is_some_and(good) && rest.all(|c| good(c) || c.is_ascii_digit())
}

/// As in Go, whose parser takes more than that and never less.
fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            is_name(label, false).then_some(())?;
            assert_eq!(
                labels.insert(label.to_owned(), value),
                None,
                "{line:?} has {label} twice"
            );
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    is_name(name, true).then_some(Sample {
        name: name.to_owned(),
        labels,
        value: number(rest.strip_prefix(' ')?)?,
    })
}

/// The value before the closing quotation mark, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                _ => return None,
            },
            c => value.push(c),
        }
    }
    None
}

#[test]
fn what_breaks_the_format_is_refused() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"x\\\"y\"} 1\n\n\
        # HELP c_seconds C.\n# TYPE c_seconds histogram\nc_seconds_bucket{le=\"1\"} 1\n\
        c_seconds_bucket{le=\"+Inf\"} 2\nc_seconds_sum 3.5\nc_seconds_count 2\n";
    let read = Exposition::parse(good);
    assert_eq!(read.sum("a_total", &[("b", "x\"y")]), Some(1.0));
    for (from, to) in [
        ("a_total{b=\"x\\\"y\"} 1\n", "a_total 1\na_total 1\n"),
        (" 1\n\n", " -1\n\n"),
        (" 1\n\n", " one\n\n"),
        ("a_total", "a"),
        ("b=", "b-c="),
        ("counter", "meter"),
        ("count 2\n", "count 2"),
        ("c_seconds_count 2", "c_seconds_count 3"),
        ("le=\"1\"} 1", "le=\"1\"} 3"),
        ("c_seconds_bucket{le=\"+Inf\"} 2\n", ""),
        ("# TYPE c_seconds", "a_total 2\n# TYPE c_seconds"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from:?}");
        let parsed = std::panic::catch_unwind(|| Exposition::parse(&bad));
        assert!(parsed.is_err(), "{bad}");
    }
}
