//! Generated code of package `machine.driver.v1`.
#![allow(missing_debug_implementations, unreachable_pub)]
#![allow(clippy::all, clippy::pedantic)]

tonic::include_proto!("machine.driver.v1");

/// The contract as an encoded `FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("machine.driver.v1");
