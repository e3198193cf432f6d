//! The boot source, set by the boot flags and read back.

use ::ipmi::{BootDevice as Device, BootFlags, Command, boot_parameter};

use super::Ipmi;
use super::socket::Repeat;
use crate::{BootDevice, BootLasts, BootMode, BootOverride, Error};

/// `None`: IPMI has no flag for this device.
fn flags(boot: BootOverride) -> Option<BootFlags> {
    Some(BootFlags {
        valid: true,
        persistent: boot.lasts == BootLasts::Always,
        efi: boot.mode == BootMode::Uefi,
        device: match boot.device {
            BootDevice::Pxe => Device::Pxe,
            BootDevice::Disk => Device::Disk,
            BootDevice::Cdrom => Device::Cdrom,
            BootDevice::Bios => Device::Setup,
            BootDevice::Http => return None,
        },
    })
}

impl Ipmi {
    pub(super) async fn send_boot(&self, boot: BootOverride) -> Result<(), Error> {
        let wanted = flags(boot).ok_or_else(|| Error::Unsupported {
            host: self.host().to_owned(),
            action: format!("boot from {}", boot.device),
            offered: "pxe, disk, cdrom and bios, which is all that IPMI knows".to_owned(),
        })?;
        // By itself a BMC drops the flags unless a power command comes within a minute. Not every BMC has this setting.
        let keep = [boot_parameter::CLEARING, boot_parameter::KEEP_WITHOUT_COMMAND];
        match self.run(Command::SetBootOptions, &keep, Repeat::Yes).await {
            Ok(_) | Err(Error::Completion { .. }) => {}
            Err(error) => return Err(error),
        }
        let data = [&[boot_parameter::FLAGS], wanted.to_bytes().as_slice()].concat();
        self.run(Command::SetBootOptions, &data, Repeat::Yes).await?;
        let shown = self.read_boot().await?;
        if shown == wanted {
            return Ok(());
        }
        Err(Error::BootNotSet {
            host: self.host().to_owned(),
            wanted: boot.to_string(),
            shown: told(shown),
        })
    }

    async fn read_boot(&self) -> Result<BootFlags, Error> {
        let command = Command::GetBootOptions;
        let data = self
            .run(command, &[boot_parameter::FLAGS, 0, 0], Repeat::Yes)
            .await?;
        // Version and number of the parameter stand before it.
        let value = data.get(2..).unwrap_or_default();
        BootFlags::parse(value).map_err(self.malformed(command))
    }
}

/// Flags in the words of an error.
fn told(flags: BootFlags) -> String {
    if !flags.valid {
        return format!("{:?} as not valid", flags.device);
    }
    let mode = if flags.efi { "UEFI" } else { "Legacy" };
    let lasts = if flags.persistent {
        "for every boot"
    } else {
        "once"
    };
    format!("{:?} ({mode}) {lasts}", flags.device)
}
