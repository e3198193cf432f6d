//! UEFI variables in OVMF's flash file, read and written while the machine is off.
//!
//! Formats: UEFI PI specification volume 3 (firmware volume header), edk2 `VariableFormat.h` (authenticated variable
//! store), UEFI specification §3.1.3 (load options) and §10 (device paths). Pure: bytes in, bytes out.

mod boot;
mod store;

pub(crate) use boot::{BootTarget, put_network_first, set_boot_next};
pub(crate) use store::Variables;
