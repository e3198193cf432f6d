//! Day two of nodes: against a played cluster, and against kube-apiserver with etcd from the image cache, some of them with
//! fake nodes that KWOK runs. The latter are ignored by default, because the programs take minutes to build; CI builds them
//! first (`gantry image build kubernetes etcd`, `cargo xtask peers`) and then runs `cargo test --test day_two -- --ignored real_`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod drainer;
mod kubeconfig;
mod rack;
mod real_cilium;
mod real_drain;
mod real_labels;
mod real_moves;
mod real_nodes;
mod real_readiness;
