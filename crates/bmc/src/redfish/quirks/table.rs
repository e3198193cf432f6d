//! The functions and values by which vendors differ.

use crate::PowerAction;

/// What a vendor's BMC does differently. A function table, not a trait: each row is data.
#[derive(Debug)]
pub(in crate::redfish) struct Quirks {
    /// Redfish reset types that do the action, best first.
    pub(in crate::redfish) reset_types: fn(PowerAction) -> &'static [&'static str],
    /// Whether `BootSourceOverrideMode` may be written at all.
    pub(in crate::redfish) writes_boot_mode: bool,
}
