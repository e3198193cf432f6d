//! iPXE scripts. Written for stock iPXE (Debian trixie's for UEFI; also the 2019 one in QEMU's ROMs for BIOS).
//!
//! No script waits for ever: each loop counts, and the last resort is the machine's own disk, then `exit 1`. On UEFI
//! a bare `exit` would leave some firmware in its menu, so local boot is `sanboot` of the recorded EFI system
//! partition, then of any disk with the fallback boot loader. Under a PC BIOS it is `sanboot` of the recorded drive
//! alone; other drives are tried only where none is on record.

use std::fmt::Write as _;

use jiff::Timestamp;
use resources::Mac;
use resources::tinkerbell::Osie;

use crate::decide::{Decision, Installer, InstallerSource};
use crate::error::ScriptError;
use crate::site::SiteSettings;
use crate::token::{MAX_ARGUMENTS, MAX_COMMAND_LINE, guid, http_url, word};

/// Name of the kernel below `/boot/`, also the file's name in the boot directory.
pub const KERNEL_FILE: &str = "vmlinuz";
/// Name of the installer's initramfs below `/boot/`, also the file's name in the boot directory.
pub const INITRAMFS_FILE: &str = "initramfs";
/// Name of the archive with the site CA below `/boot/`; made when serving.
pub const SITE_CA_FILE: &str = "site-ca.cpio";

/// Fetches of kernel and initramfs before the script gives up.
const TRIES: u32 = 5;
/// Disks tried by number where the right one is not on record: it may be the second one.
const DRIVES: [&str; 4] = ["0x80", "0x81", "0x82", "0x83"];

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Address of the NIC that boots, when known.
    pub mac: Option<Mac>,
    /// Name of the Hardware, when known.
    pub name: Option<&'a str>,
}

/// The script for a decision; `None` when there is none to give.
///
/// # Errors
/// If a value of the Hardware cannot stand in a script, or the kernel command line becomes too long.
pub fn render(
    decision: &Decision,
    subject: Subject<'_>,
    site: &SiteSettings,
    now: Timestamp,
) -> Result<Option<String>, ScriptError> {
    let script = match decision {
        Decision::Installer(installer) => installer_script(installer, subject, site, now)?,
        Decision::LocalDisk {
            esp_guid,
            bios_drive,
            reason,
        } => {
            let own = OwnDisk {
                esp_guid: esp_guid.as_deref(),
                bios_drive: *bios_drive,
            };
            local_script(own, reason)
        }
        Decision::CustomScript(contents) => custom_script(contents),
        Decision::Chain(url) => {
            format!(
                "#!ipxe\nchain --autofree {}\n",
                http_url("netboot.ipxe.url", url)?
            )
        }
        Decision::NotAllowed { .. } | Decision::Silent { .. } => return Ok(None),
    };
    Ok(Some(script))
}

/// The user's text, verbatim below the magic line, which is added when it is missing.
fn custom_script(contents: &str) -> String {
    let body = contents
        .strip_prefix("#!ipxe")
        .map_or(contents, |rest| rest.trim_start_matches(['\r', '\n']));
    format!("#!ipxe\n{}\n", body.trim_end())
}

fn local_script(own: OwnDisk<'_>, reason: &str) -> String {
    let mut text = format!(
        "#!ipxe\necho Gantry: this machine boots its own disk: {}\n",
        spoken(reason)
    );
    local_boot(&mut text, own);
    text
}

/// What was recorded of the disk that the machine boots.
#[derive(Debug, Clone, Copy)]
struct OwnDisk<'a> {
    esp_guid: Option<&'a str>,
    bios_drive: Option<u8>,
}

/// Boots the machine's own disk, else `exit 1`. What is tried is said first, for the person at the console.
fn local_boot(text: &mut String, own: OwnDisk<'_>) {
    text.push_str("iseq ${platform} efi && goto local_efi ||\n");
    match own.bios_drive {
        Some(drive) => {
            let _ = write!(
                text,
                "echo Gantry: booting drive {drive:#04x}, where the system was installed\n\
                 sanboot --no-describe --drive {drive:#04x} ||\n"
            );
        }
        None => {
            for drive in DRIVES {
                let _ = write!(
                    text,
                    "echo Gantry: the drive with the system is not on record; trying drive {drive}\n\
                     sanboot --no-describe --drive {drive} ||\n"
                );
            }
        }
    }
    text.push_str("goto local_failed\n:local_efi\n");
    if let Some(guid) = own.esp_guid.and_then(guid) {
        // Drive 0 means every drive; the file is \EFI\BOOT\BOOTX64.EFI unless another is named.
        let _ = write!(
            text,
            "echo Gantry: booting the EFI system partition {guid}, where the system was installed\n\
             sanboot --no-describe --drive 0 --uuid {guid} ||\n"
        );
    }
    text.push_str(
        "echo Gantry: trying the fallback boot loader of any disk\nsanboot --no-describe --drive 0 ||\n",
    );
    for drive in DRIVES {
        let _ = write!(
            text,
            "echo Gantry: trying the fallback boot loader of drive {drive}\n\
             sanboot --no-describe --drive {drive} ||\n"
        );
    }
    text.push_str(":local_failed\necho Gantry: no disk boots; the firmware goes on\nexit 1\n");
}

fn installer_script(
    installer: &Installer,
    subject: Subject<'_>,
    site: &SiteSettings,
    now: Timestamp,
) -> Result<String, ScriptError> {
    let files = files(&installer.source, site)?;
    let arguments = kernel_arguments(installer, subject, site, now)?;
    let what = installer.attempt.map_or_else(String::new, |(attempt, boot)| {
        format!(", attempt {attempt}, boot {boot}")
    });
    let who = subject
        .name
        .map_or_else(String::new, |name| format!(" of {}", spoken(name)));
    let mut text = format!("#!ipxe\necho Gantry: installer{who}{what}\n");
    let _ = write!(
        text,
        "set try:int32 0\n\
         :again\n\
         iseq ${{try}} {TRIES} && goto failed ||\n\
         inc try\n\
         imgfree ||\n\
         kernel --timeout 30000 --name kernel {} {} || goto wait\n\
         initrd --timeout 30000 --name initramfs {} || goto wait\n\
         initrd --timeout 30000 --name site-ca {}/boot/{SITE_CA_FILE} || goto wait\n\
         boot kernel || goto wait\n\
         :wait\n\
         echo Gantry: try ${{try}} of {TRIES} failed; next in 5 seconds\n\
         sleep 5 ||\n\
         goto again\n\
         :failed\n\
         echo Gantry: the installer could not be started; booting the own disk\n\
         imgfree ||\n",
        files.kernel,
        arguments.join(" "),
        files.initramfs,
        site.http_base(),
    );
    let own = OwnDisk {
        esp_guid: installer.esp_guid.as_deref(),
        bios_drive: installer.bios_drive,
    };
    local_boot(&mut text, own);
    Ok(text)
}

struct Files {
    kernel: String,
    initramfs: String,
}

fn files(source: &InstallerSource, site: &SiteSettings) -> Result<Files, ScriptError> {
    let base = format!("{}/boot", site.http_base());
    let built_in = |name: &str| format!("{base}/{name}");
    match source {
        InstallerSource::BuiltIn => Ok(Files {
            kernel: built_in(KERNEL_FILE),
            initramfs: built_in(INITRAMFS_FILE),
        }),
        InstallerSource::Osie(Osie {
            base_url,
            kernel,
            initrd,
            ..
        }) => {
            let Some(url) = base_url.as_deref().filter(|url| !url.is_empty()) else {
                return Ok(Files {
                    kernel: built_in(KERNEL_FILE),
                    initramfs: built_in(INITRAMFS_FILE),
                });
            };
            let url = http_url("netboot.osie.baseURL", url)?.trim_end_matches('/');
            let kernel = word(
                "netboot.osie.kernel",
                kernel.as_deref().unwrap_or("vmlinuz-x86_64"),
            )?;
            let initrd = word(
                "netboot.osie.initrd",
                initrd.as_deref().unwrap_or("initramfs-x86_64"),
            )?;
            Ok(Files {
                kernel: format!("{url}/{kernel}"),
                initramfs: format!("{url}/{initrd}"),
            })
        }
    }
}

/// All arguments of the kernel, in order. Nothing in here is secret.
fn kernel_arguments(
    installer: &Installer,
    subject: Subject<'_>,
    site: &SiteSettings,
    now: Timestamp,
) -> Result<Vec<String>, ScriptError> {
    // UEFI: an EFI stub without the newer load protocol finds its archives by these names.
    let mut list = vec!["initrd=initramfs".to_owned(), "initrd=site-ca".to_owned()];
    match subject.mac {
        Some(mac) => list.push(format!("BOOTIF=01-{}", mac.dashed())),
        None => list.push("BOOTIF=01-${net0/mac:hexhyp}".to_owned()),
    }
    if let Some(boot_id) = &installer.boot_id {
        list.push(format!(
            "gantry.boot_id={}",
            word("status.bootSession.bootId", boot_id)?
        ));
    }
    list.push(format!(
        "gantry.server={}:{}",
        site.server_address, site.agent_port
    ));
    list.push(format!("gantry.site={}", word("site name", &site.site_name)?));
    let whole_second = now.round(jiff::Unit::Second).unwrap_or(now);
    list.push(format!("gantry.time={whole_second}"));
    // A kernel that panics starts the machine again, and the installer with it. The last console is /dev/console; the
    // kernel logs to all of them.
    list.extend(["panic=10", "console=tty0", "console=ttyS0,115200"].map(str::to_owned));
    for argument in &site.kernel_arguments {
        list.push(word("kernel arguments of the site", argument)?.to_owned());
    }
    if let InstallerSource::Osie(osie) = &installer.source {
        for argument in osie
            .kernel_params
            .iter()
            .flat_map(|params| params.split_ascii_whitespace())
        {
            list.push(word("netboot.osie.kernelParams", argument)?.to_owned());
        }
    }
    let length = list.iter().map(|argument| argument.len().saturating_add(1)).sum();
    if length > MAX_COMMAND_LINE || list.len() > MAX_ARGUMENTS {
        let (max_length, max_count) = (MAX_COMMAND_LINE, MAX_ARGUMENTS);
        return Err(ScriptError::TooLong {
            length,
            count: list.len(),
            max_length,
            max_count,
        });
    }
    Ok(list)
}

/// Text for `echo`: what iPXE would interpret is replaced, for it is only read by people.
fn spoken(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || " .,:/-_()".contains(c) {
            c
        } else {
            '?'
        }
    };
    text.chars().take(200).map(plain).collect()
}
