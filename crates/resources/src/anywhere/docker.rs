//! DockerDatacenterConfig: a Docker daemon as the place of a cluster.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Docker daemon. Its name is that of the scope of driver `docker` in which the machines are made; EKS Anywhere has no field
/// here either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "DockerDatacenterConfig",
    plural = "dockerdatacenterconfigs",
    namespaced,
    status = "DockerDatacenterConfigStatus",
    derive = "PartialEq"
)]
pub struct DockerDatacenterConfigSpec {}

/// Observed state of a Docker daemon's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DockerDatacenterConfigStatus {}
