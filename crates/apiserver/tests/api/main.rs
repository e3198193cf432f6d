//! The whole API in process: real SQLite, `kube::Client` without a socket, TLS on loopback, the real kubectl.

mod apply;
mod collect;
mod crud;
mod definitions;
mod durability;
mod fixture;
mod kubectl;
mod records;
mod runtime;
mod secrets;
mod tls;
mod watch;
