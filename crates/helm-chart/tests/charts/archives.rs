//! Archives: what is read, and what is refused before it fills the memory.

use flate2::Compression;
use flate2::write::GzEncoder;
use helm_chart::Chart;
use tar::{Builder, EntryType, Header};

use crate::{CHART, files};

type Entry<'a> = (&'a str, EntryType, Vec<u8>);

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Past the checks of the writer: the path is what a hostile archive has.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn file<'a>(path: &'a str, content: &str) -> Entry<'a> {
    (path, EntryType::Regular, content.as_bytes().to_vec())
}

#[test]
fn a_chart_is_read_from_its_archive() {
    let packed = archive(&[
        file("shed/Chart.yaml", CHART),
        file("shed/values.yaml", "a: 1"),
        file("shed/templates/a.yaml", "{{ .Values.a }}"),
        file("shed/files/x.txt", "x"),
    ]);
    let chart = Chart::from_archive(&packed).unwrap();
    assert_eq!((chart.name(), chart.version()), ("shed", "0.1.0"));
    assert_eq!(chart.values()["a"], 1);
}

#[test]
fn archives_that_are_no_chart_are_refused() {
    let long = vec![b'x'; 6 * 1024 * 1024];
    let chart = || file("shed/Chart.yaml", CHART);
    for (packed, words) in [
        (b"no archive".to_vec(), "helm package"),
        (
            archive(&[file("shed/values.yaml", "a: 1")]),
            "there is no Chart.yaml",
        ),
        (
            archive(&[chart(), file("../etc/passwd", "x")]),
            "outside of the chart's folder",
        ),
        (
            archive(&[chart(), file("/etc/passwd", "x")]),
            "outside of the chart's folder",
        ),
        (
            archive(&[chart(), ("shed/files/x", EntryType::Regular, long)]),
            "a file is larger",
        ),
        (
            archive(&[file("shed/Chart.yaml", "apiVersion: v9\nname: a\nversion: 1.0.0")]),
            "apiVersion",
        ),
        (archive(&[file("shed/Chart.yaml", "name: [")]), "line 1"),
        (
            archive(&[chart(), file("shed/values.yaml", "a: 1\nb: [")]),
            "values.yaml",
        ),
        (
            archive(&[chart(), file("shed/values.yaml", "- 1")]),
            "it is no dict",
        ),
        (
            archive(&[chart(), ("shed/templates/a", EntryType::Regular, vec![0xff])]),
            "it is no text",
        ),
    ] {
        let error = Chart::from_archive(&packed).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn links_are_left_out() {
    let packed = archive(&[
        file("shed/Chart.yaml", CHART),
        ("shed/values.yaml", EntryType::Symlink, Vec::new()),
    ]);
    assert!(Chart::from_archive(&packed).unwrap().values().is_empty());
}

#[test]
fn dependencies_that_are_not_inside_are_named() {
    let text = "apiVersion: v2\nname: shed\nversion: 0.1.0\ndependencies: [{name: inner, version: 1.0.0}]\n";
    let error = Chart::from_files(files(&[("Chart.yaml", text)])).unwrap_err();
    assert!(
        error.to_string().contains("dependency inner is not in charts/"),
        "{error}"
    );
}
