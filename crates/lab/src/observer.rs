//! What looks at a rack from outside, for stories that must not believe the appliance: packets and disks.

mod capture;
mod disk;
mod packet_socket;

pub use capture::Capture;
pub use disk::{disk_fingerprint, is_blank, range_digest};
