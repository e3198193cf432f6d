//! What a decision can ask for.

use resources::gantry::{Claim, LocalBoot, ServerState};

/// The next step of a server.
pub(crate) type Step = steps::Step<ServerState, Effect>;

/// What the interpreter does for a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Write the claim's owner into the labels of the Hardware.
    MirrorOwner { name: String, namespace: String },
    /// Remove the owner labels of the Hardware.
    ClearOwner,
    /// Claim for the owner whom somebody else wrote into the labels.
    TakeIn(Claim),
    /// Remove a claim whose owner label is gone.
    DropClaim,
    /// Record what was installed.
    RecordInstalled(LocalBoot),
    /// Forget what was installed: it is wiped.
    ForgetInstalled,
    /// Close the boot session.
    CloseSession,
    /// Forget boot session and first boot.
    Forget,
    /// Remove the statement by which the server was given back.
    ClearRelease,
    /// Trust the records again: the machine is off, so nobody uses it.
    Trust,
    /// Delete the Server: its Hardware is gone.
    Delete,
}
