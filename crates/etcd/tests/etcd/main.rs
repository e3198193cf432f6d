//! Against real members: etcd from the image cache on loopback addresses of its own, with the flags and certificates that
//! kubeadm gives it. These tests are ignored by default, because etcd takes a minute to build; CI builds it first and
//! then runs `cargo test --test etcd -- --ignored real_`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod credentials;
mod fixture;
mod real_change;
mod real_freeze;
mod real_loss;
mod real_view;
