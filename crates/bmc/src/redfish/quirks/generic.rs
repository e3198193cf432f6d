//! A BMC that does what DSP0268 says. The virtual BMC of the lab is one.

use super::table::Quirks;
use crate::PowerAction;

pub(super) static QUIRKS: Quirks = Quirks {
    reset_types,
    writes_boot_mode: true,
};

fn reset_types(action: PowerAction) -> &'static [&'static str] {
    match action {
        PowerAction::On => &["On", "ForceOn"],
        PowerAction::Off => &["ForceOff"],
        PowerAction::Soft => &["GracefulShutdown", "PushPowerButton"],
        PowerAction::Cycle => &["PowerCycle", "FullPowerCycle", "ForceRestart"],
        PowerAction::Reset => &["ForceRestart", "PowerCycle"],
        PowerAction::Nmi => &["Nmi"],
    }
}
