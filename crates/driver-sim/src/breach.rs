//! Ways in which a driver breaks the contract, one for each case of the conformance suite that has to find it, and for the
//! supervisor.

use std::str::FromStr;

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// Ends at once, with a message.
    EndsAtStart,
    /// Never writes its handshake.
    HangsAtStart,
    /// Writes something else in its place.
    WritesGarbage,
    /// Calls itself by another name.
    OtherName,
    /// Names a socket outside of its directory.
    SocketElsewhere,
    /// Writes to standard output after the handshake.
    WritesOn,
    /// Starts without the cookie too.
    NoCookie,
    /// Ends as soon as a machine is asked for.
    EndsInCall,
    /// Has a schema that is none.
    BadSchema,
    /// Finds nothing wrong with a scope.
    ChecksNothing,
    /// Makes another machine when its state is lost.
    CreatesAgain,
    /// Ignores that the spec has changed.
    IgnoresHash,
    /// Takes what has the right name.
    AdoptsForeign,
    /// Trims user data.
    TrimsUserData,
    /// Says that a machine is absent when the provider fails.
    AbsentOnError,
    /// Answers absence with an error.
    AbsenceIsError,
    /// Ends a list at the first page that fails.
    PartialList,
    /// Lists machines of others.
    ListsAll,
    /// Shows addresses that only the machine itself can use.
    LocalAddresses,
    /// Deletes what has the right name.
    DeletesForeign,
    /// Leaves what it has deleted.
    LeavesObjects,
    /// Leaves its sessions open.
    LeavesSessions,
    /// Logs its password.
    LogsPassword,
    /// Refuses to go on with a machine of which it has no state.
    ForgetsAfterCrash,
}

impl Breach {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 24] = [
        (Self::EndsAtStart, "ends-at-start"),
        (Self::HangsAtStart, "hangs-at-start"),
        (Self::WritesGarbage, "writes-garbage"),
        (Self::OtherName, "other-name"),
        (Self::SocketElsewhere, "socket-elsewhere"),
        (Self::WritesOn, "writes-on"),
        (Self::NoCookie, "no-cookie"),
        (Self::EndsInCall, "ends-in-call"),
        (Self::BadSchema, "bad-schema"),
        (Self::ChecksNothing, "checks-nothing"),
        (Self::CreatesAgain, "creates-again"),
        (Self::IgnoresHash, "ignores-hash"),
        (Self::AdoptsForeign, "adopts-foreign"),
        (Self::TrimsUserData, "trims-user-data"),
        (Self::AbsentOnError, "absent-on-error"),
        (Self::AbsenceIsError, "absence-is-error"),
        (Self::PartialList, "partial-list"),
        (Self::ListsAll, "lists-all"),
        (Self::LocalAddresses, "local-addresses"),
        (Self::DeletesForeign, "deletes-foreign"),
        (Self::LeavesObjects, "leaves-objects"),
        (Self::LeavesSessions, "leaves-sessions"),
        (Self::LogsPassword, "logs-password"),
        (Self::ForgetsAfterCrash, "forgets-after-crash"),
    ];

    /// Its name, as an argument of the program.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(breach, _)| *breach == self);
        named.map_or("", |(_, name)| name)
    }
}

impl FromStr for Breach {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.iter().find(|(_, known)| *known == name);
        named
            .map(|(breach, _)| *breach)
            .ok_or_else(|| format!("{name:?} is no breach"))
    }
}
