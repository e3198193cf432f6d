//! Day two of nodes: against a played cluster, and against kube-apiserver with etcd from the image cache. The latter are
//! ignored by default, because the programs take minutes to build; CI builds them first and then runs
//! `cargo test --test day_two -- --ignored real_`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod drainer;
mod kubeconfig;
mod real_drain;
mod real_readiness;
