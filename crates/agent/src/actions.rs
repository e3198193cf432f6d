//! The actions, one file each. Each is idempotent or checks first: run twice in one attempt, the second time finds its
//! work done; cut off anywhere, the next run finishes it.

mod board;
mod context;
mod handover;
mod image2disk;
mod inspect;
mod kexec;
mod other_systems;
mod outcome;
mod parts;
mod reboot;
mod renew_certificates;
mod seed;
mod settings;
mod wipe;
mod writefile;

use agent_protocol::ActionKind;

pub use board::Board;
pub use context::{ActionContext, IssueFirstBoot};
pub use outcome::Outcome;

use crate::Error;

/// Carries out the action of this kind. Blocks.
///
/// # Errors
/// What the action says; nothing is half-applied that the next run would not finish.
pub fn run(kind: &str, context: &ActionContext) -> Result<Outcome, Error> {
    let unknown = || Error::UnknownAction {
        kind: kind.to_owned(),
    };
    match ActionKind::by_name(kind).ok_or_else(unknown)? {
        ActionKind::Image2disk => image2disk::run(context),
        ActionKind::Writefile => writefile::run(context),
        ActionKind::Seed => seed::run(context),
        ActionKind::Kexec => kexec::run(context),
        ActionKind::Reboot => reboot::run(context),
        ActionKind::Handover => handover::run(context),
        ActionKind::Wipe => wipe::run(context),
        ActionKind::Inspect => inspect::run(context),
        ActionKind::RenewCertificates => renew_certificates::run(context),
    }
}
