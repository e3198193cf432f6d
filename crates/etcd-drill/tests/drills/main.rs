//! Drills with programs in the place of etcd, and with etcd itself. Those of the second kind are ignored by default, because
//! etcd takes a minute to build; CI builds it first and then runs `cargo test --test drills -- --ignored real_`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fixture;
mod killed;
mod played;
mod real;
mod real_damage;
