//! How vendors deviate. One file each; this one only chooses.

mod generic;

use crate::PowerAction;

/// What a vendor's BMC does differently. A function table, not a trait: each row is data.
#[derive(Debug)]
pub(super) struct Quirks {
    /// Redfish reset types that do the action, best first.
    pub(super) reset_types: fn(PowerAction) -> &'static [&'static str],
    /// Whether `BootSourceOverrideMode` may be written at all.
    pub(super) writes_boot_mode: bool,
}

/// The deviations of the vendor that the service root names.
pub(super) fn of(_vendor: Option<&str>, _product: Option<&str>) -> &'static Quirks {
    &generic::QUIRKS
}
