//! The page `docs/cluster-fields.md` is the tables of these tests.

use std::fmt::Write as _;

use super::annotations::ANNOTATIONS_AT_CREATION;
use super::creation::AtCreation::{Decides, Nothing, Refused};
use super::creation::{KindOfDocument, kinds, said, with};
use super::*;
use crate::remarks::remarks;
use crate::rules::validate;

/// What becomes of a change, on the page.
fn later(decision: Decision) -> &'static str {
    match decision {
        Decision::CarriedOut => "carried out; machines that work are kept",
        Decision::RollsOut => "machines are exchanged",
        Decision::Version => "a later minor version, through each between: machines are exchanged",
        Decision::GroupVersion => {
            "a later minor version, up to the cluster's: machines of the group are exchanged; no field means the cluster's"
        }
        Decision::NoEffect => "no effect",
        Decision::Fixed | Decision::NotCarriedOut => "refused",
    }
}

type With = fn(&str, &str, &str, Spec) -> (ClusterBundle, String);

/// The table of one kind.
fn section(
    page: &mut String,
    (kind, rows, decisions, spec): KindOfDocument,
    releases: &[Release],
    with: With,
) {
    let _ = write!(
        page,
        "\n## {kind}\n\n| field | at creation | a change later |\n|---|---|---|\n"
    );
    for ((row, effect), (_, decision)) in rows.iter().zip(decisions) {
        let at_creation = match effect {
            Decides(what, _) => (*what).to_owned(),
            Nothing(example) => {
                let (bundle, path) = with(kind, row, example, spec);
                said(&remarks(&bundle, releases), kind, &path).unwrap()
            }
            Refused(example) => {
                let (bundle, path) = with(kind, row, example, spec);
                format!(
                    "refused: {}",
                    said(&validate(&bundle, releases), kind, &path).unwrap()
                )
            }
        };
        let name = row.strip_prefix("spec.").unwrap();
        let _ = writeln!(page, "| `{name}` | {at_creation} | {} |", later(*decision));
    }
}

/// The page about the fields; `INSTA_UPDATE=always` writes it anew.
#[test]
fn the_page_about_the_fields_is_the_table() {
    let releases = crate::releases::tests::releases(&["v1.35.4"]);
    let mut page = "# Fields of a cluster's documents\n\n\
        Every field of EKS Anywhere's documents for bare metal, vSphere and Docker that this version reads: what it decides when a \
        cluster is made, and what becomes\nof a change of it once the cluster has machines. A field that is not here is unknown, \
        and refused. A test writes this page from the table that it\nchecks.\n"
        .to_owned();
    for kind in kinds() {
        section(&mut page, kind, &releases, with);
    }
    let _ = write!(
        page,
        "\n# vSphere\n\nA Cluster's `externalEtcdConfiguration` has no effect here: etcd runs on the machines of the control plane. \
         `failureDomains` of a\nworker group names the one in which its machines are.\n"
    );
    for kind in virtual_creation::kinds() {
        section(
            &mut page,
            kind,
            &virtual_creation::releases(),
            virtual_creation::with,
        );
    }
    let _ = write!(
        page,
        "\n# Docker\n\nA DockerDatacenterConfig has no field, a group no machineGroupRef, and `externalEtcdConfiguration` no effect. Unlike \
         with EKS Anywhere\n`controlPlaneConfiguration.endpoint` is wanted: no load balancer is made with the cluster. The machines are \
         made from the node image of the\nRelease with `osFamily: docker` and the CNI of the cluster.\n"
    );
    let _ = write!(
        page,
        "\n## Annotations of a Cluster\n\nWhat its machines are made from, beside the fields.\n\n\
         | annotation | at creation | a change later |\n|---|---|---|\n"
    );
    for ((key, what, _), (_, decision)) in ANNOTATIONS_AT_CREATION.iter().zip(ANNOTATIONS) {
        let _ = writeln!(page, "| `{key}` | {what} | {} |", later(*decision));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cluster-fields.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        page == written,
        "run this test with INSTA_UPDATE=always to write {file} anew"
    );
}
