//! What a machine that boots from the network is told: the netboot decision, the iPXE script, the kernel arguments.
//!
//! Owns the pure decision ([`decide`]), the scripts that follow from it ([`render`]), and the in-memory view of
//! Hardware and Server ([`BootView`]) that all boot services answer from, and that grades who asks them ([`Peer`]).
//! [`follow`] keeps that view by the one watch; [`EventSender`] is the bounded and rate-limited way from the boot
//! services to the records, and [`Sightings`] what they heard last of each armed machine.
//!
//! Refuses: to answer packets or requests itself, to write any object, and to put anything secret into a script.
//!
//! Invariant: a machine gets the installer only by a boot session that is open, not past its deadline and of the
//! newest attempt, and only when it asks from its own address; in every doubt it boots its own disk.

mod claims;
mod decide;
mod error;
mod event_limit;
mod events;
mod follow;
mod handle;
mod origin;
mod peer;
mod rate;
mod script;
mod sightings;
mod site;
mod target;
mod token;
mod view;

pub use decide::{Asker, Decision, Installer, InstallerSource, boots_our_installer, decide};
pub use error::{FollowError, ScriptError};
pub use events::{Event, EventSender};
pub use follow::follow;
pub use handle::ViewHandle;
pub use origin::Origin;
pub use peer::{Misfit, Peer, Proof};
pub use rate::{Bucket, Rate};
pub use script::{INITRAMFS_FILE, KERNEL_FILE, SITE_CA_FILE, Subject, render};
pub use sightings::Sightings;
pub use site::{SiteSettings, UnknownPolicy};
pub use target::{BootTarget, MachineFacts, Session};
pub use view::{BootView, Lookup};
