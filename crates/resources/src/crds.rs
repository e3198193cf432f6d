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
        cluster_api::Cluster::crd(),
        cluster_api::Machine::crd(),
        gantry::Server::crd(),
        gantry::ProviderMachine::crd(),
        gantry::ControlPlane::crd(),
        gantry::Plan::crd(),
        gantry::Image::crd(),
        gantry::Release::crd(),
    ];
    for crd in &mut all {
        let labels = crd.metadata.labels.get_or_insert_default();
        labels.insert(keys::MOVE.to_owned(), String::new());
        if crd.spec.group == "gantry.dev" {
            labels.insert("cluster.x-k8s.io/v1beta2".to_owned(), "v1alpha1".to_owned());
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
                !["TinkerbellTemplateConfig", "Release"].contains(&kind.as_str()),
                "{kind}"
            );
        }
    }
}
