//! Reading an action's environment, with errors that name the variable.

use std::path::PathBuf;
use std::str::FromStr;

use disk_image::Target;
use resources::{DiskName, DiskNameError};

use super::ActionContext;
use crate::Error;

impl ActionContext {
    /// A setting that may be absent; empty counts as absent.
    pub(super) fn optional(&self, name: &'static str) -> Option<&str> {
        self.environment
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A setting that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Error> {
        self.optional(name)
            .ok_or_else(|| wrong(name, "is not set; the template must give it"))
    }

    /// A setting of some type, with the words for what it must be.
    pub(super) fn parsed<T: FromStr>(&self, name: &'static str, must_be: &str) -> Result<Option<T>, Error> {
        let parse = |value: &str| {
            value
                .trim()
                .parse()
                .map_err(|_| wrong(name, &format!("{value:?} is not {must_be}")))
        };
        self.optional(name).map(parse).transpose()
    }

    /// An octal mode.
    pub(super) fn mode(&self, name: &'static str, default: u32) -> Result<u32, Error> {
        let Some(value) = self.optional(name) else {
            return Ok(default);
        };
        let digits = value.trim().trim_start_matches("0o");
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| wrong(name, &format!("{value:?} is not an octal mode such as 0644")))
    }

    /// The device that a setting names: found by the identity that the appliance pinned for the name.
    pub(super) fn device(&self, name: &'static str) -> Result<PathBuf, Error> {
        let named = self.disk_name(name)?;
        self.find(name, &named, named.partition())
    }

    /// The whole disk that a setting names, open for writing.
    pub(super) fn open_disk(&self, name: &'static str) -> Result<(PathBuf, Box<dyn Target>), Error> {
        let device = self.device(name)?;
        let target = self.host.open_disk(&device)?;
        // An open device keeps its name. If it is still that of the pinned disk now, it stays so.
        if self.device(name)? == device {
            return Ok((device, target));
        }
        Err(Error::DiskRefused {
            disk: self.host.stable_name(&device).display().to_string(),
            reason: format!("{} became another disk while it was opened", device.display()),
        })
    }

    /// A partition of the disk that a setting names.
    pub(super) fn partition(&self, name: &'static str, number: u32) -> Result<PathBuf, Error> {
        self.find(name, &self.disk_name(name)?, Some(number))
    }

    /// The disk or partition that a setting names, as text.
    pub(super) fn disk_name(&self, name: &'static str) -> Result<DiskName, Error> {
        let text = self.required(name)?.trim();
        text.parse()
            .map_err(|error: DiskNameError| wrong(name, &format!("{text:?} {error}; {}", error.next_step())))
    }

    fn find(&self, name: &'static str, named: &DiskName, partition: Option<u32>) -> Result<PathBuf, Error> {
        let pinned = self.disks.iter().find(|disk| disk.name == named.disk());
        let unknown = || {
            let disk = named.disk();
            wrong(
                name,
                &format!("the appliance pinned no disk for {disk}; start a new attempt"),
            )
        };
        self.host.device(pinned.ok_or_else(unknown)?, partition)
    }

    /// Waits until disks may be written.
    pub(super) fn admit(&self) -> Result<(), Error> {
        self.lease
            .wait(&self.cancel)
            .map_err(|reason| Error::Stopped { reason })
    }
}

pub(super) fn wrong(name: &'static str, reason: &str) -> Error {
    Error::Setting {
        name,
        reason: reason.to_owned(),
    }
}
