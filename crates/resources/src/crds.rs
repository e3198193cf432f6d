//! CustomResourceDefinitions of every kind here, generated from the Rust types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{anywhere, bmc, cluster_api, gantry, keys, tinkerbell};

/// Every kind, in the order of groups, with upstream's contract labels.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        tinkerbell::Hardware::crd(),
        tinkerbell::Template::crd(),
        tinkerbell::Workflow::crd(),
        bmc::Machine::crd(),
        bmc::Job::crd(),
        bmc::Task::crd(),
        anywhere::Cluster::crd(),
        anywhere::TinkerbellDatacenterConfig::crd(),
        anywhere::TinkerbellMachineConfig::crd(),
        anywhere::TinkerbellTemplateConfig::crd(),
        anywhere::DockerDatacenterConfig::crd(),
        anywhere::VSphereDatacenterConfig::crd(),
        anywhere::VSphereMachineConfig::crd(),
        anywhere::OidcConfig::crd(),
        cluster_api::Cluster::crd(),
        cluster_api::Machine::crd(),
        cluster_api::MachineSet::crd(),
        cluster_api::MachineDeployment::crd(),
        cluster_api::MachinePool::crd(),
        gantry::Server::crd(),
        gantry::ProviderCluster::crd(),
        gantry::ProviderMachine::crd(),
        gantry::ProviderDriver::crd(),
        gantry::ControlPlane::crd(),
        gantry::Plan::crd(),
        gantry::PlanApproval::crd(),
        gantry::Image::crd(),
        gantry::Release::crd(),
    ];
    for crd in &mut all {
        let labels = crd.metadata.labels.get_or_insert_default();
        labels.insert(keys::MOVE.to_owned(), String::new());
        if crd.spec.group == "gantry.dev" {
            labels.insert("cluster.x-k8s.io/v1beta2".to_owned(), "v1alpha1".to_owned());
        }
        if crd.spec.group == "cluster.x-k8s.io" {
            cluster_api::v1beta1::add_to(crd);
        }
    }
    all
}

/// Schema of an object whose fields are somebody else's.
pub(crate) fn free_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Schema of a list of such objects.
pub(crate) fn free_form_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_own_plural_in_its_group() {
        let names: Vec<String> = crds().into_iter().filter_map(|crd| crd.metadata.name).collect();
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
        assert!(distinct.contains(&"hardware.tinkerbell.org".to_owned()));
    }

    #[test]
    fn every_kind_but_the_written_exceptions_has_a_status_subresource() {
        for crd in crds() {
            let kind = crd.spec.names.kind.clone();
            let status = crd
                .spec
                .versions
                .iter()
                .all(|v| v.subresources.as_ref().is_some_and(|s| s.status.is_some()));
            assert_eq!(
                status,
                ![
                    "TinkerbellTemplateConfig",
                    "OIDCConfig",
                    "Release",
                    "PlanApproval"
                ]
                .contains(&kind.as_str()),
                "{kind}"
            );
        }
    }

    /// The schema of the field at a JSONPath of printer columns: names, and `[..]` for an entry of a list.
    fn field<'a>(mut schema: &'a serde_json::Value, path: &str) -> Option<&'a serde_json::Value> {
        let mut outside = true;
        let path: String = path
            .strip_prefix('.')?
            .chars()
            .map(|c| {
                outside = if outside { c != '[' } else { c == ']' };
                if c == '.' && outside { '\n' } else { c }
            })
            .collect();
        for step in path.split('\n') {
            let (name, list) = step
                .split_once('[')
                .map_or((step, false), |(name, _)| (name, true));
            schema = schema.pointer("/properties")?.get(name)?;
            if list {
                schema = schema.get("items")?;
            }
        }
        Some(schema)
    }

    #[test]
    fn every_column_shows_a_field_that_the_schema_has() {
        let mut columns = 0;
        for crd in crds() {
            let name = crd.metadata.name.clone().unwrap();
            for version in &crd.spec.versions {
                let schema = serde_json::to_value(version.schema.as_ref().unwrap()).unwrap();
                for column in version.additional_printer_columns.iter().flatten() {
                    let path = &column.json_path;
                    let known =
                        path.starts_with(".metadata.") || field(&schema["openAPIV3Schema"], path).is_some();
                    assert!(known, "{name}: {path}");
                    columns += 1;
                }
            }
        }
        assert!(columns > 60, "{columns}");
    }

    #[test]
    fn tables_are_not_names_alone() {
        for crd in crds() {
            let name = crd.metadata.name.clone().unwrap();
            let version = &crd.spec.versions[0];
            let columns = version.additional_printer_columns.iter().flatten();
            let paths: Vec<&str> = columns.map(|column| column.json_path.as_str()).collect();
            // What belongs to a Cluster is looked at there.
            let settings = crd.spec.group == "anywhere.eks.amazonaws.com" && !name.starts_with("clusters.");
            assert_eq!(paths.is_empty(), settings, "{name}");
            assert!(
                settings || paths.contains(&".metadata.creationTimestamp"),
                "{name}"
            );
        }
    }
}
