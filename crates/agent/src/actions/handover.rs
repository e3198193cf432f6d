//! `handover`: leave the installer for the installed system, by kexec or by restarting, as policy and machine allow.
//!
//! `auto` takes kexec, but restarts under Secure Boot and when the kernel can't be loaded. Under UEFI the boot entry is
//! written either way: the next start comes from the firmware.

use agent_protocol::environment::{FACT_HANDOVER, HANDOVER};

use super::settings::wrong;
use super::{ActionContext, Outcome, kexec, reboot};
use crate::Error;

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let policy = context.optional(HANDOVER).unwrap_or("auto");
    let mut outcome = reboot::prepare(context)?;
    let told = std::mem::take(&mut outcome.message);
    let by_kexec = match policy {
        "reboot" => None,
        "kexec" => Some(kexec::load(context)?),
        "auto" if context.host.secure_boot() => {
            context
                .board
                .log("Secure Boot is on: restarting instead of kexec");
            None
        }
        "auto" => match kexec::load(context) {
            Ok(kernel) => Some(kernel),
            Err(error) => {
                context
                    .board
                    .log(format!("no kexec, restarting instead: {}", error.line()));
                None
            }
        },
        other => {
            return Err(wrong(
                HANDOVER,
                &format!("{other:?} is none of auto, kexec, reboot"),
            ));
        }
    };
    let (how, message) = match &by_kexec {
        Some(kernel) => ("kexec", format!("{told}starting {kernel}")),
        None => ("reboot", format!("{told}restarting")),
    };
    outcome = outcome.fact(FACT_HANDOVER, how);
    outcome.message = message;
    outcome.leave = Some(by_kexec.is_some());
    Ok(outcome)
}
