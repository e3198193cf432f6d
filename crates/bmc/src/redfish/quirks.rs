//! How vendors deviate. One file each; this one only chooses.

mod generic;
mod table;

pub(super) use table::Quirks;

/// The deviations of the vendor that the service root names.
pub(super) fn of(_vendor: Option<&str>, _product: Option<&str>) -> &'static Quirks {
    &generic::QUIRKS
}
