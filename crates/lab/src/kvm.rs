//! Whether KVM really runs guests here: a device that opens proves nothing, so a guest is booted, with a time limit.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::Error;
use crate::options::Accelerator;
use crate::process::die_with_parent;

/// A working KVM boots the sector in a tenth of a second.
const LIMIT: Duration = Duration::from_secs(4);
/// QEMU's exit status for the value 0x31 at its debug-exit port: `value << 1 | 1`.
const PASSED: i32 = 0x63;

/// A boot sector that goes from real mode through page tables into 64-bit mode, leaves the guest 20,000 times
/// (`cpuid`), and ends QEMU through the debug-exit port.
const BOOT_CODE: &str = "\
fa 31c0 8ed8 8ec0 8ed0 bc007c \
bf0010 b90018 f3ab \
66c706001003200000 66c706002003300000 66c706003083000000 \
66b800100000 0f22d8 \
0f20e0 6683c820 0f22e0 \
66b9800000c0 0f32 660d00010000 0f30 \
660f0116987c \
0f20c0 660d01000080 0f22c0 \
66ea6c7c00000800 \
48c7c6204e0000 31c0 0fa2 48ffce 75f7 \
b831000000 e6f4 f4 ebfd 6690 \
0000000000000000 00000000009a2000 0f00887c0000";

/// Chooses the accelerator: what was asked for, or KVM if a guest boots with it.
pub(crate) async fn choose(wanted: Accelerator) -> Result<Accelerator, Error> {
    match wanted {
        Accelerator::Kvm | Accelerator::Tcg => Ok(wanted),
        Accelerator::Auto if works().await? => Ok(Accelerator::Kvm),
        Accelerator::Auto => Ok(Accelerator::Tcg),
    }
}

async fn works() -> Result<bool, Error> {
    if fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(false);
    }
    let cache = cache_file();
    if let Some(known) = cache.as_deref().and_then(|path| fs::read_to_string(path).ok()) {
        return Ok(known.trim() == "works");
    }
    let booted = boot(Accelerator::Kvm).await?;
    if let Some(path) = cache {
        let verdict = if booted { "works\n" } else { "fails\n" };
        let kept = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, verdict));
        if let Err(error) = kept {
            tracing::debug!(error = %error, "result of the KVM probe not kept");
        }
    }
    Ok(booted)
}

/// One result for each boot of the host: kernel or hypervisor may be another one after it.
fn cache_file() -> Option<PathBuf> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("gantry").join(format!("kvm-{}", boot.trim())))
}

/// Boots the sector; `Ok(false)` if the guest does not get through within the limit.
async fn boot(accelerator: Accelerator) -> Result<bool, Error> {
    let disk = std::env::temp_dir().join(format!("gantry-kvm-probe-{}.img", std::process::id()));
    write_disk(&disk).map_err(Error::file("writing", &disk))?;
    let result = run(accelerator, &disk).await;
    let _ = fs::remove_file(&disk);
    result
}

fn write_disk(path: &Path) -> std::io::Result<()> {
    let code: String = BOOT_CODE.split_ascii_whitespace().collect();
    let mut sector = hex::decode(code).map_err(std::io::Error::other)?;
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    let mut file = fs::File::create(path)?;
    file.write_all(&sector)?;
    // SeaBIOS reads no boot sector from a disk smaller than a cylinder.
    file.set_len(1024 * 1024)
}

async fn run(accelerator: Accelerator, disk: &Path) -> Result<bool, Error> {
    let mut command = std::process::Command::new("qemu-system-x86_64");
    command.args(["-accel", &accelerator.to_string(), "-cpu", "max", "-m", "32"]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive"]);
    command.arg(format!("if=virtio,format=raw,file={}", disk.display()));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    die_with_parent(&mut command);
    let spawned = Command::from(command).kill_on_drop(true).spawn();
    let mut child = spawned.map_err(|source| Error::Spawn {
        program: "qemu-system-x86_64".to_owned(),
        source,
    })?;
    match timeout(LIMIT, child.wait()).await {
        Ok(Ok(status)) => Ok(status.code() == Some(PASSED)),
        Ok(Err(_)) => Ok(false),
        Err(_) => {
            let _ = child.kill().await;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_fits_a_sector() {
        let code: String = BOOT_CODE.split_ascii_whitespace().collect();
        let bytes = hex::decode(code).unwrap();
        assert!(bytes.len() <= 510);
        // The far jump and the descriptor table address what stands there.
        assert_eq!(bytes[0x6c..0x70], [0x48, 0xc7, 0xc6, 0x20]);
        assert_eq!(bytes[0x98..0x9e], [0x0f, 0x00, 0x88, 0x7c, 0x00, 0x00]);
    }

    #[tokio::test]
    async fn the_sector_boots_where_guests_do() {
        match boot(Accelerator::Tcg).await {
            Ok(booted) => assert!(booted),
            Err(Error::Spawn { .. }) => eprintln!("SKIPPED: no QEMU on this machine"),
            Err(error) => panic!("{error}"),
        }
    }
}
