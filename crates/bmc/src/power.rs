//! Power states and the actions that change them.

use std::fmt;

/// Redfish `PowerState`, and `Unknown` for anything else that a BMC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerState {
    On,
    Off,
    PoweringOn,
    PoweringOff,
    Unknown,
}

/// What can be asked of a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerAction {
    On,
    /// At once, without asking the operating system.
    Off,
    /// By asking the operating system.
    Soft,
    /// Off, then on.
    Cycle,
    /// The reset line; power stays on.
    Reset,
    /// A non-maskable interrupt, by which a hanging system writes its crash dump.
    Nmi,
}

impl PowerAction {
    /// Every action.
    pub const ALL: [Self; 6] = [
        Self::On,
        Self::Off,
        Self::Soft,
        Self::Cycle,
        Self::Reset,
        Self::Nmi,
    ];

    /// Whether the machine already is where the action leads. Most BMCs answer such a request with an error.
    pub(crate) fn is_done_by(self, state: PowerState) -> bool {
        matches!(
            (self, state),
            (Self::On, PowerState::On | PowerState::PoweringOn)
                | (Self::Off, PowerState::Off)
                | (Self::Soft, PowerState::Off | PowerState::PoweringOff)
        )
    }
}

impl PowerState {
    pub(crate) fn from_redfish(text: &str) -> Self {
        match text {
            "On" => Self::On,
            "Off" => Self::Off,
            "PoweringOn" => Self::PoweringOn,
            "PoweringOff" => Self::PoweringOff,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::PoweringOn => "powering on",
            Self::PoweringOff => "powering off",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for PowerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Cycle => "cycle",
            Self::Reset => "reset",
            Self::Nmi => "nmi",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_where_nothing_changes() {
        assert!(PowerAction::On.is_done_by(PowerState::On));
        assert!(PowerAction::Off.is_done_by(PowerState::Off));
        assert!(PowerAction::Soft.is_done_by(PowerState::Off));
        assert!(!PowerAction::Off.is_done_by(PowerState::Unknown));
        assert!(!PowerAction::Off.is_done_by(PowerState::PoweringOff));
        assert!(!PowerAction::Cycle.is_done_by(PowerState::Off));
        assert!(!PowerAction::Reset.is_done_by(PowerState::On));
    }
}
