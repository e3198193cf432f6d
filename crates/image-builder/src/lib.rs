//! Builds the installer OS, the node images and their parts from package registries.
//!
//! Owns the recipes under `images/` (they are inside the binary, so an installed `gantry` needs no source
//! tree), the cache of what was built from them, and the file formats that this takes: the `newc` cpio
//! archive, the OCI image layout, a GPT disk that boots under BIOS and UEFI. Refuses to download releases:
//! everything comes from Debian's archive and the Go module proxy.
//!
//! Invariant: a directory of the cache that has its final name is complete. It is made under a temporary
//! name and renamed once, under a lock, so an interrupted build leaves nothing that looks like a result.

mod build;
mod cache;
mod chart;
mod command;
mod container_list;
mod cpio;
mod digest;
mod disk;
mod error;
mod host;
mod initramfs;
mod json_file;
mod kernel_modules;
mod lanes;
mod oci;
mod part;
mod parts;
mod progress;
mod raw_image;
mod recipe;
mod release;
mod versions;

pub use build::{BuildOptions, Built, Listed, build, list};
pub use cache::default_cache_dir;
pub use container_list::ContainerImage;
pub use error::Error;
pub use host::ensure_host_packages;
pub use initramfs::{BootFiles, build_initramfs};
pub use part::Part;
pub use progress::{Event, Progress};
pub use release::{NodeImage, ReleaseFacts, built_in_release, planned_release};
pub use versions::{NodeName, ReleaseRecipe, Versions};
