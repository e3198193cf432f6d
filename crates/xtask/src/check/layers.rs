//! Layers: a package depends on lower layers only, never sideways. Tests may also use the simulators and the
//! embedded API, whatever layer they stand in.

use super::finding::Finding;
use crate::workspace::{Edge, Package, Workspace};

/// What the tests of every package may use.
const FOR_TESTS: [&str; 4] = ["sim", "clusters-sim", "driver-sim", "apiserver"];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let Some(layer) = package.layer else {
            findings.push(Finding::new(
                &package.name,
                "no layer: say `[package.metadata] layer = N`",
            ));
            continue;
        };
        for edge in &package.edges {
            findings.extend(judge(workspace, package, layer, edge));
        }
    }
    findings
}

fn judge(workspace: &Workspace, package: &Package, layer: u64, edge: &Edge) -> Option<Finding> {
    if edge.dev && (FOR_TESTS.contains(&edge.to.as_str()) || edge.to == package.name) {
        return None;
    }
    let below = workspace.package(&edge.to)?.layer?;
    if below < layer {
        return None;
    }
    let direction = if below == layer { "sideways" } else { "upwards" };
    let what = if edge.dev { "dev-dependency" } else { "dependency" };
    Some(Finding::new(
        &package.name,
        format!(
            "{what} on {} points {direction} (layer {layer} to {below}): move what both need down, or let a \
             higher layer wire them",
            edge.to
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Given<'a> = (&'a str, u64, &'a [(&'a str, bool)]);

    fn workspace(edges: &[Given<'_>]) -> Workspace {
        let packages = edges
            .iter()
            .map(|(name, layer, to)| Package {
                name: (*name).to_owned(),
                layer: Some(*layer),
                edges: to
                    .iter()
                    .map(|(to, dev)| Edge {
                        to: (*to).to_owned(),
                        dev: *dev,
                    })
                    .collect(),
                ..Package::default()
            })
            .collect();
        Workspace {
            packages,
            ..Workspace::default()
        }
    }

    #[test]
    fn downward_edges_are_fine() {
        let found = check(&workspace(&[
            ("resources", 0, &[]),
            ("dhcp", 2, &[("resources", false)]),
        ]));
        assert_eq!(found, []);
    }

    #[test]
    fn sideways_and_upward_edges_are_found() {
        let found = check(&workspace(&[
            ("dhcp", 2, &[("tftp", false)]),
            ("tftp", 2, &[("lab", true)]),
            ("lab", 4, &[]),
        ]));
        assert_eq!(found.len(), 2);
        assert!(found[0].text.contains("sideways"), "{}", found[0]);
        assert!(
            found[1].text.contains("dev-dependency on lab points upwards"),
            "{}",
            found[1]
        );
    }

    #[test]
    fn tests_may_use_the_embedded_api_sideways_but_code_may_not() {
        let with = |dev| {
            check(&workspace(&[
                ("power", 2, &[("apiserver", dev)]),
                ("apiserver", 2, &[]),
            ]))
        };
        assert_eq!(with(true), []);
        assert_eq!(with(false).len(), 1);
    }

    #[test]
    fn package_without_layer_is_found() {
        let mut workspace = workspace(&[("dhcp", 2, &[])]);
        workspace.packages[0].layer = None;
        assert_eq!(check(&workspace).len(), 1);
    }
}
