//! QEMU's arguments for one power-on of one machine.
//!
//! Devices sit at fixed PCI slots, so firmware device paths and guest names never change: cards 3 (other) and 4
//! (boot), disks 5 (stays blank) and 6 (target), which change places on a machine that swaps them, USB 8. UEFI machines carry no bootindex at all: their order is in their
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
    pub(crate) usb_disk: &'a Path,
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

/// What differs between the power-ons of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PowerOn {
    pub(crate) first_order: BootOrder,
    /// PCI device numbers of the disks, as [`MachinePlan::disk_slots`] gives them.
    pub(crate) disk_slots: [u8; 2],
}

/// UEFI device path node of the booting card: its PCI device number on the root bridge.
pub(crate) const fn netboot_path() -> u8 {
    4
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
    power_on: PowerOn,
) -> Vec<String> {
    let mut line = Line::default();
    board(&mut line, machine, accelerator);
    let (disk_index, net_index) = boot_indexes(power_on.first_order);
    let slots = power_on.disk_slots;
    match machine.firmware {
        // The card's iPXE ROM boots.
        Firmware::Bios => {
            disks(
                &mut line,
                machine,
                files,
                slots,
                &format!(",bootindex={disk_index}"),
            );
            cards(&mut line, machine, &format!(",bootindex={net_index}"));
        }
        // The firmware's own PXE boots, as on most real machines.
        Firmware::Uefi => {
            flash(&mut line, files);
            disks(&mut line, machine, files, slots, "");
            cards(&mut line, machine, ",romfile=");
        }
    }
    ports(&mut line, files);
    line.0
        .extend(["-nodefaults", "-no-user-config", "-S"].map(str::to_owned));
    line.0
}

/// A command line that grows by pairs.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.0.push(format!("-{option}"));
        self.0.push(value.into());
    }
}

/// The emulated processor. Left out is what costs an emulator more than its absence costs the guest: copies byte by
/// byte (`erms`), large register files at each switch of a task (`xsave`, AVX), a fifth level of page tables, the
/// protections of user memory, and machines inside the machine (`svm`, for which a guest would load KVM). A node boots
/// with an eighth less processor time.
const EMULATED_CPU: &str = "max,xsave=off,avx=off,avx2=off,la57=off,smap=off,smep=off,erms=off,svm=off";

/// Processor, memory, identity, clock, entropy.
fn board(line: &mut Line, machine: &MachinePlan, accelerator: Accelerator) {
    let kvm = accelerator == Accelerator::Kvm;
    let (serial, uuid) = (&machine.serial, &machine.uuid);
    line.add("name", format!("{},debug-threads=on", machine.name));
    // Disks and cards are virtio; controllers that nothing hangs on would only be probed for.
    line.add("machine", "q35,graphics=off,vmport=off,sata=off,smbus=off");
    line.add("accel", if kvm { "kvm" } else { "tcg,thread=multi" });
    line.add("cpu", if kvm { "max" } else { EMULATED_CPU });
    line.add("smp", machine.cpus.to_string());
    line.add("m", format!("{}M", machine.memory_mib));
    line.add("uuid", uuid);
    let smbios =
        format!("type=1,manufacturer=Gantry,product=Virtual rack machine,serial={serial},uuid={uuid}");
    line.add("smbios", smbios);
    line.add("rtc", "base=utc,clock=host");
    line.add("boot", "menu=off");
    line.add("object", "rng-random,id=entropy,filename=/dev/urandom");
    line.add("device", "virtio-rng-pci,rng=entropy,addr=0x7");
}

/// The UEFI firmware and its variables.
fn flash(line: &mut Line, files: &QemuFiles<'_>) {
    let (code, variables) = (path(files.uefi_code), path(files.nvram));
    line.add(
        "drive",
        format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"),
    );
    line.add("drive", format!("if=pflash,unit=1,format=raw,file={variables}"));
}

/// All disks; `boot` goes to the target.
fn disks(line: &mut Line, machine: &MachinePlan, files: &QemuFiles<'_>, slots: [u8; 2], boot: &str) {
    for (number, (disk, boot)) in files.disks.into_iter().zip(["", boot]).enumerate() {
        let (serial, slot) = (machine.disk_serial(number), slots[number]);
        match number == 1 && machine.bad_disk {
            true => bad_drive(line, number, disk),
            false => drive(line, number, disk),
        }
        let device =
            format!("virtio-blk-pci,id=blk{number},drive=disk{number},serial={serial},addr={slot:#x}{boot}");
        line.add("device", device);
    }
    if machine.usb_disk {
        let serial = machine.disk_serial(2);
        drive(line, 2, files.usb_disk);
        line.add("device", "qemu-xhci,id=usb,addr=0x8");
        line.add(
            "device",
            format!("usb-storage,id=usb2,bus=usb.0,drive=disk2,removable=on,serial={serial}"),
        );
    }
}

/// What a disk's content is kept in.
fn drive(line: &mut Line, number: usize, file: &Path) {
    let file = path(file);
    line.add(
        "drive",
        format!("if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,file={file}"),
    );
}

/// First sector of a bad disk that fails, 8 MiB from its start: where an image has data, behind every partition table.
const BAD_SECTOR: u64 = 16384;

/// As [`drive`], but every access to one sector fails with EIO (QEMU's docs/devel/blkdebug.rst).
fn bad_drive(line: &mut Line, number: usize, file: &Path) {
    let file = path(file);
    line.add(
        "drive",
        format!(
            "if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,werror=report,rerror=report,\
             file.driver=blkdebug,file.image.driver=file,file.image.filename={file},\
             file.inject-error.0.event=none,file.inject-error.0.sector={BAD_SECTOR},file.inject-error.0.errno=5"
        ),
    );
}

/// Both network cards; `boot` goes to the booting one, the other has no ROM to boot from.
fn cards(line: &mut Line, machine: &MachinePlan, boot: &str) {
    let other = (machine.other_tap(), machine.other_mac, ",romfile=");
    let booting = (machine.boot_tap(), machine.boot_mac, boot);
    for (number, (tap, mac, options)) in [other, booting].into_iter().enumerate() {
        let slot = 3 + number;
        line.add(
            "netdev",
            format!("tap,id=link{number},ifname={tap},script=no,downscript=no"),
        );
        let device =
            format!("virtio-net-pci,id=net{number},netdev=link{number},mac={mac},addr={slot:#x}{options}");
        line.add("device", device);
    }
}

/// Serial port and monitor.
fn ports(line: &mut Line, files: &QemuFiles<'_>) {
    let (tty, log, qmp) = (
        path(files.console_socket),
        path(files.console_log),
        path(files.monitor_socket),
    );
    line.add(
        "chardev",
        format!("socket,id=tty,path={tty},server=on,wait=off,logfile={log},logappend=on"),
    );
    line.add("serial", "chardev:tty");
    line.add("chardev", format!("socket,id=qmp,path={qmp},server=on,wait=off"));
    line.add("mon", "chardev=qmp,mode=control");
    line.add("display", "none");
}

fn path(path: &Path) -> String {
    escape(&path.to_string_lossy())
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

    fn line(options: &UpOptions, before: u64) -> String {
        let plan = RackPlan::derive("golden", options);
        let machine = &plan.machines[0];
        let files = QemuFiles {
            uefi_code: Path::new("/fw/code.fd"),
            nvram: Path::new("/m/nvram.fd"),
            disks: [Path::new("/m/disk0.img"), Path::new("/m/a,b.img")],
            usb_disk: Path::new("/m/disk2.img"),
            console_log: Path::new("/m/console.log"),
            console_socket: Path::new("/s/tty"),
            monitor_socket: Path::new("/s/qmp"),
        };
        let power_on = PowerOn {
            first_order: BootOrder::NetworkFirst,
            disk_slots: machine.disk_slots(before),
        };
        arguments(machine, Accelerator::Tcg, &files, power_on)
            .join("\n")
            .replace("\n-", "\n\n-")
    }

    fn with(firmware: Firmware) -> UpOptions {
        UpOptions {
            firmware,
            ..UpOptions::default()
        }
    }

    #[test]
    fn golden_uefi() {
        let text = line(&with(Firmware::Uefi), 1);
        assert!(!text.contains("bootindex"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn golden_bios() {
        insta::assert_snapshot!(line(&with(Firmware::Bios), 1));
    }

    /// What a kernel calls a virtio disk follows from its slot.
    #[test]
    fn disks_change_places_at_each_power_on() {
        let options = UpOptions {
            swap_disks: true,
            ..with(Firmware::Bios)
        };
        let places = |before| {
            let text = line(&options, before);
            let place = |disk: &str| {
                let device = text.lines().find(|line| line.contains(disk)).unwrap();
                let addr = device.split(',').find(|part| part.starts_with("addr="));
                (addr.unwrap().to_owned(), device.contains("bootindex=2"))
            };
            [place("drive=disk0,"), place("drive=disk1,")]
        };
        let at = |first: &str, target: &str| [(first.to_owned(), false), (target.to_owned(), true)];
        assert_eq!(places(0), at("addr=0x5", "addr=0x6"));
        assert_eq!(places(1), at("addr=0x6", "addr=0x5"));
        assert_eq!(places(2), places(0));
    }

    /// QEMU's default of `werror` stops the machine when its disk is full, which a bad sector is not.
    #[test]
    fn a_bad_disk_is_that_of_one_machine() {
        let options = UpOptions {
            bad_disk: Some(0),
            ..with(Firmware::Uefi)
        };
        let text = line(&options, 0);
        let drives: Vec<&str> = text.lines().filter(|line| line.contains("id=disk")).collect();
        let bad = |drive: &&str| drive.contains("blkdebug") && drive.contains("sector=16384");
        assert!(!bad(&drives[0]) && bad(&drives[1]), "{drives:?}");
        let good = RackPlan::derive(
            "golden",
            &UpOptions {
                machines: 2,
                ..options
            },
        );
        assert!(good.machines[0].bad_disk && !good.machines[1].bad_disk);
    }

    #[test]
    fn a_usb_disk_is_removable_and_has_a_serial_number() {
        let options = UpOptions {
            usb_disk: true,
            ..with(Firmware::Bios)
        };
        let text = line(&options, 0);
        let device = text.lines().find(|line| line.starts_with("usb-storage")).unwrap();
        assert!(device.contains(",drive=disk2,removable=on,serial=GL"), "{device}");
        assert!(
            device.ends_with("D2") && text.contains("file=/m/disk2.img"),
            "{text}"
        );
    }
}
