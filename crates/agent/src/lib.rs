//! The agent of the installer OS. As its first process it makes the machine usable (file systems, modules, links,
//! DHCP), proves itself to the appliance and then does what it is told, one action at a time.
//!
//! Owns everything that happens on a machine between the kernel's start and the installed system's. Decides nothing:
//! which action runs is the appliance's word, every time, and a machine that is refused touches no disk, says why on
//! its consoles and asks again.
//! Not here yet: asking for a boot session by MAC address when the kernel arguments name none (UKI, ISO).
//!
//! Invariant: a disk is written only while the appliance has been heard in the last 45 s ([`Lease`]), and an action
//! that leaves the installer reports its success first.

pub mod actions;
mod boot_option;
mod console;
mod error;
mod file_tree;
mod grub_config;
mod host;
mod image_stream;
pub mod inventory;
mod kernel_arguments;
mod lease;
pub mod network;
mod real_host;
mod session;
mod start;
pub mod system;
mod worker;

pub use boot_option::{BootOptions, LoadOption, plan_boot_options, without_our_boot_options};
pub use console::Console;
pub use error::Error;
pub use file_tree::{FileTree, NewFile, Placed};
pub use grub_config::{KernelEntry, first_entry};
pub use host::{Host, Mounted};
pub use kernel_arguments::KernelArguments;
pub use lease::Lease;
pub use real_host::RealHost;
pub use session::{Appliance, MachineKey, Session, claim};
pub use start::run;
pub use worker::{Ended, work};
