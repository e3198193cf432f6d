//! The trait that every BMC client implements.
//!
//! Its invariant: a method that returns `Ok` has seen the BMC confirm what the method's text promises.

use futures::future::BoxFuture;
use resources::bmc::{BmcReport, Indicator, ReportKind};

use crate::{BootOverride, Error, Inventory, PowerAction, PowerState};

/// One BMC of one machine.
pub trait Bmc: Send + Sync + std::fmt::Debug {
    /// The power state as the BMC reports it now.
    fn power_state(&self) -> BoxFuture<'_, Result<PowerState, Error>>;

    /// Asks for a power action. `Ok` means accepted, not done: poll [`Bmc::power_state`] to see it done.
    ///
    /// `On` of a running machine and `Off` or `Soft` of a stopped one are accepted without a request.
    fn power(&self, action: PowerAction) -> BoxFuture<'_, Result<(), Error>>;

    /// Sets the boot source, then reads it back; `Ok` means the BMC shows it set.
    fn set_boot(&self, boot: BootOverride) -> BoxFuture<'_, Result<(), Error>>;

    /// What the BMC says about the machine it belongs to.
    fn inventory(&self) -> BoxFuture<'_, Result<Inventory, Error>>;

    /// Reads what the BMC says about the hardware. A list that is incomplete says why in the notes of the report; one that the
    /// BMC does not have at all is [`Error::Missing`].
    fn report(&self, kind: ReportKind) -> BoxFuture<'_, Result<BmcReport, Error>>;

    /// Switches the light by which the machine is found; `Ok` means the BMC shows it so, where it shows it at all.
    fn identify(&self, light: Indicator) -> BoxFuture<'_, Result<(), Error>>;

    /// Ends the session, if one was opened. Never an error: an unreachable BMC drops it by its own time limit.
    fn close(&self) -> BoxFuture<'_, ()>;
}
