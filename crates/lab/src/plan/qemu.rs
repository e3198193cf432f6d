//! QEMU's arguments for one power-on of one machine.
//!
//! Devices sit at fixed PCI slots, so firmware device paths and guest names never change: cards 3 (other) and 4
//! (boot), disks 5 (stays blank) and 6 (target). UEFI machines carry no bootindex at all: their order is in their
//! firmware variables. SeaBIOS has no memory of its own, so its order is given as bootindex.

use std::path::Path;

use super::MachinePlan;
use crate::options::{Accelerator, Firmware};

/// Files and sockets of one machine.
#[derive(Debug)]
pub(crate) struct QemuFiles<'a> {
    pub(crate) uefi_code: &'a Path,
    pub(crate) nvram: &'a Path,
    pub(crate) disks: [&'a Path; 2],
    pub(crate) console_log: &'a Path,
    pub(crate) console_socket: &'a Path,
    pub(crate) monitor_socket: &'a Path,
}

/// What SeaBIOS tries first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BootOrder {
    NetworkFirst,
    DisksFirst,
}

/// UEFI device path nodes of the booting card and of the target disk: PCI device numbers on the root bridge.
pub(crate) const fn netboot_path() -> u8 {
    4
}

pub(crate) const fn target_disk_path() -> u8 {
    6
}

/// bootindex of (target disk, booting card). The target is SeaBIOS' drive 0x80 in either order.
pub(crate) fn boot_indexes(order: BootOrder) -> (u8, u8) {
    match order {
        BootOrder::NetworkFirst => (2, 1),
        BootOrder::DisksFirst => (2, 3),
    }
}

/// The arguments. The machine starts paused, so that the monitor is there before the first instruction.
pub(crate) fn arguments(
    machine: &MachinePlan,
    accelerator: Accelerator,
    files: &QemuFiles<'_>,
    first_order: BootOrder,
) -> Vec<String> {
    let path = |path: &Path| escape(&path.to_string_lossy());
    let [first_disk, target_disk] = files.disks;
    let bios = machine.firmware == Firmware::Bios;
    let (disk_index, net_index) = boot_indexes(first_order);
    let index = |index: u8| {
        if bios {
            format!(",bootindex={index}")
        } else {
            String::new()
        }
    };
    // Under BIOS the card's iPXE ROM boots; under UEFI the firmware's own PXE does, as on most real machines.
    let boot_rom = if bios { "" } else { ",romfile=" };
    let accel = if accelerator == Accelerator::Kvm {
        "kvm"
    } else {
        "tcg,thread=multi"
    };

    let mut list: Vec<String> = Vec::new();
    let mut push = |option: &str, value: String| {
        list.push(format!("-{option}"));
        list.push(value);
    };
    push("name", format!("{0},debug-threads=on", machine.name));
    push("machine", "q35,graphics=off,vmport=off".to_owned());
    push("accel", accel.to_owned());
    push("cpu", "max".to_owned());
    push("smp", machine.cpus.to_string());
    push("m", format!("{}M", machine.memory_mib));
    push("uuid", machine.uuid.clone());
    push(
        "smbios",
        format!(
            "type=1,manufacturer=Gantry,product=Virtual rack machine,serial={},uuid={}",
            machine.serial, machine.uuid
        ),
    );
    push("rtc", "base=utc,clock=host".to_owned());
    push("boot", "menu=off".to_owned());
    if !bios {
        push(
            "drive",
            format!(
                "if=pflash,unit=0,format=raw,readonly=on,file={}",
                path(files.uefi_code)
            ),
        );
        push(
            "drive",
            format!("if=pflash,unit=1,format=raw,file={}", path(files.nvram)),
        );
    }
    for (number, disk) in [(0usize, first_disk), (1, target_disk)] {
        push(
            "drive",
            format!(
                "if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,file={}",
                path(disk)
            ),
        );
        let boot = if number == 1 {
            index(disk_index)
        } else {
            String::new()
        };
        let slot = 5 + number;
        let serial = machine.disk_serial(number);
        push(
            "device",
            format!("virtio-blk-pci,id=blk{number},drive=disk{number},serial={serial},addr={slot:#x}{boot}"),
        );
    }
    for (number, tap) in [machine.other_tap(), machine.boot_tap()].into_iter().enumerate() {
        push(
            "netdev",
            format!("tap,id=link{number},ifname={tap},script=no,downscript=no"),
        );
    }
    push(
        "device",
        format!(
            "virtio-net-pci,id=net0,netdev=link0,mac={},romfile=,addr=0x3",
            machine.other_mac
        ),
    );
    let boot = index(net_index);
    push(
        "device",
        format!(
            "virtio-net-pci,id=net1,netdev=link1,mac={}{boot_rom},addr=0x4{boot}",
            machine.boot_mac
        ),
    );
    push("object", "rng-random,id=entropy,filename=/dev/urandom".to_owned());
    push("device", "virtio-rng-pci,rng=entropy,addr=0x7".to_owned());
    push(
        "chardev",
        format!(
            "socket,id=tty,path={},server=on,wait=off,logfile={},logappend=on",
            path(files.console_socket),
            path(files.console_log)
        ),
    );
    push("serial", "chardev:tty".to_owned());
    push(
        "chardev",
        format!(
            "socket,id=qmp,path={},server=on,wait=off",
            path(files.monitor_socket)
        ),
    );
    push("mon", "chardev=qmp,mode=control".to_owned());
    push("display", "none".to_owned());
    list.extend(["-nodefaults", "-no-user-config", "-S"].map(str::to_owned));
    list
}

/// QEMU reads a doubled comma as one.
fn escape(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::UpOptions;
    use crate::plan::RackPlan;

    fn line(firmware: Firmware, order: BootOrder) -> String {
        let plan = RackPlan::derive(
            "golden",
            &UpOptions {
                firmware,
                ..UpOptions::default()
            },
        );
        let files = QemuFiles {
            uefi_code: Path::new("/fw/code.fd"),
            nvram: Path::new("/m/nvram.fd"),
            disks: [Path::new("/m/disk0.img"), Path::new("/m/a,b.img")],
            console_log: Path::new("/m/console.log"),
            console_socket: Path::new("/s/tty"),
            monitor_socket: Path::new("/s/qmp"),
        };
        arguments(&plan.machines[0], Accelerator::Tcg, &files, order)
            .join("\n")
            .replace("\n-", "\n\n-")
    }

    #[test]
    fn golden_uefi() {
        let text = line(Firmware::Uefi, BootOrder::NetworkFirst);
        assert!(!text.contains("bootindex"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn golden_bios() {
        insta::assert_snapshot!(line(Firmware::Bios, BootOrder::NetworkFirst));
    }
}
