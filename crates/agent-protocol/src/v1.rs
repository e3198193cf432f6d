//! Generated code of package `gantry.agent.v1`.
#![allow(missing_debug_implementations, unreachable_pub)]
#![allow(clippy::all, clippy::pedantic)]

tonic::include_proto!("gantry.agent.v1");
