//! The IPMI client against our own server with its faults, and against OpenIPMI's `ipmi_sim`; and our server driven by
//! the clients that people use: ipmitool, FreeIPMI, pyghmi.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod faults;
mod hardware;
mod machine;
mod real;
