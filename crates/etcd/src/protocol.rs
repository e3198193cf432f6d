//! Generated code of package `etcdserverpb`.
#![allow(missing_debug_implementations, unreachable_pub)]
#![allow(clippy::all, clippy::pedantic)]

tonic::include_proto!("etcdserverpb");
