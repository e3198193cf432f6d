//! A machine's sysfs for the tests of its disks.

use std::os::unix::fs::symlink;

use super::super::*;

/// A machine's sysfs in a folder, with files in place of device nodes.
pub(super) struct Machine {
    pub(super) root: tempfile::TempDir,
}

pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Machine {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["sys/block", "sys/class/block", "sys/devices", "dev"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    pub(super) fn disks(&self) -> Disks {
        Disks::new(self.root.path().join("sys"), self.root.path().join("dev"))
    }

    pub(super) fn folder(&self, path: &str, attributes: Attributes<'_>) -> PathBuf {
        let folder = self.root.path().join("sys").join(path);
        fs::create_dir_all(&folder).unwrap();
        for (name, value) in attributes {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{value}\n")).unwrap();
        }
        folder
    }

    /// A device below another one; what its folder is called decides about nothing.
    pub(super) fn device(
        &self,
        path: &str,
        subsystem: &str,
        kind: &str,
        attributes: Attributes<'_>,
    ) -> PathBuf {
        let folder = self.folder(path, attributes);
        let event = if kind.is_empty() {
            String::new()
        } else {
            format!("DEVTYPE={kind}\n")
        };
        fs::write(folder.join("uevent"), event).unwrap();
        let bus = self.root.path().join("sys/bus").join(subsystem);
        fs::create_dir_all(&bus).unwrap();
        symlink(bus, folder.join("subsystem")).unwrap();
        folder
    }

    /// A SCSI host, target and device below a controller, and a disk on it.
    pub(super) fn scsi(
        &self,
        controller: &str,
        host: &str,
        below: &str,
        address: &str,
        name: &str,
        attributes: Attributes<'_>,
    ) {
        self.device(&format!("{controller}/{host}"), "scsi", "scsi_host", &[]);
        let target = address.rsplit_once(':').unwrap().0;
        let target = format!("{controller}/{host}/{below}target{target}");
        let folders: Vec<_> = Path::new(&target).ancestors().skip(1).collect();
        for folder in folders
            .iter()
            .take_while(|folder| folder.file_name().is_some_and(|name| name != "devices"))
        {
            // Ports and the like are devices too.
            let event = self.root.path().join("sys").join(folder).join("uevent");
            fs::create_dir_all(event.parent().unwrap()).unwrap();
            if !event.exists() {
                fs::write(event, "").unwrap();
            }
        }
        self.device(&target, "scsi", "scsi_target", &[]);
        let device = format!("{target}/{address}");
        self.device(&device, "scsi", "scsi_device", attributes);
        self.disk(&format!("{device}/block/{name}"), &device, &[]);
    }

    /// An object that a driver keeps beside its devices, found by its class.
    pub(super) fn class(&self, controller: &str, class: &str, name: &str, attributes: Attributes<'_>) {
        let path = format!("{controller}/{class}/{name}");
        self.device(&path, class, "", attributes);
        let links = self.folder(&format!("class/{class}"), &[]);
        symlink(format!("../../{path}"), links.join(name)).unwrap();
    }

    pub(super) fn disk(&self, path: &str, device: &str, attributes: Attributes<'_>) {
        let folder = self.device(path, "block", "disk", attributes);
        if !folder.join("size").exists() {
            fs::write(folder.join("size"), "204800\n").unwrap();
        }
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let sys = self.root.path().join("sys");
        symlink(sys.join(device), folder.join("device")).unwrap();
        symlink(&folder, sys.join("block").join(&name)).unwrap();
        for node in [name.clone(), partition_name(&name, 2)] {
            fs::create_dir_all(sys.join("class/block").join(&node)).unwrap();
            fs::write(self.root.path().join("dev").join(node), "").unwrap();
        }
    }

    fn pci(&self, address: &str) -> String {
        let path = format!("devices/pci0000:00/{address}");
        self.device(&path, "pci", "", &[]);
        path
    }

    pub(super) fn virtio(&self, slot: &str, name: &str, attributes: Attributes<'_>) {
        let pci = format!("devices/pci0000:00/0000:00:{slot}.0");
        self.device(&pci, "pci", "", &[]);
        let device = format!("{pci}/virtio{slot}");
        self.device(&device, "virtio", "", &[]);
        self.disk(&format!("{device}/block/{name}"), &device, attributes);
    }

    pub(super) fn node(&self, name: &str) -> PathBuf {
        self.root.path().join("dev").join(name)
    }

    pub(super) fn facts(&self, name: &str) -> DiskFacts {
        self.disks()
            .all()
            .into_iter()
            .find(|disk| disk.name == name)
            .unwrap()
    }

    pub(super) fn pin(&self, name: &str) -> v1::PinnedDisk {
        let facts = self.facts(name).comparable();
        v1::PinnedDisk {
            name: "/dev/sda".to_owned(),
            serial: facts.serial.unwrap_or_default(),
            wwn: facts.wwn.unwrap_or_default(),
            size: facts.size,
            ..v1::PinnedDisk::default()
        }
    }
}

/// One disk of every kind of attachment.
pub(super) fn rack() -> Machine {
    let machine = Machine::new();
    sata(&machine);
    sas(&machine);
    other_scsi(&machine);
    nvme(&machine);
    machine.virtio(
        "05",
        "vda",
        &[("serial", "target"), ("queue/logical_block_size", "4096")],
    );
    machine
}

fn sata(machine: &Machine) {
    let sata = machine.pci("0000:00:1f.2");
    for (port, host, address, name) in [
        ("ata1", "host0", "0:0:0:0", "sda"),
        ("ata2", "host1", "1:1:0:0", "sdb"),
    ] {
        machine.class(
            &format!("{sata}/{port}"),
            "ata_port",
            port,
            &[("port_no", &port[3..])],
        );
        let ata = [
            ("vendor", "ATA     "),
            ("model", "QEMU HARDDISK   "),
            ("wwid", "naa.5000c500a0000001"),
        ];
        machine.scsi(&format!("{sata}/{port}"), host, "", address, name, &ata);
        let page = machine
            .root
            .path()
            .join(format!("sys/block/{name}/device/vpd_pg80"));
        fs::write(page, [b"\0\x80\0\x0a    QM-", name.as_bytes()].concat()).unwrap();
    }
}

fn sas(machine: &Machine) {
    let sas = machine.pci("0000:02:00.0");
    for (class, attributes) in [
        (
            "sas_device/end_device-2:0",
            &[("sas_address", "0x5000c50000000001"), ("phy_identifier", "3")][..],
        ),
        ("sas_port/port-2:0", &[("num_phys", "1")]),
        (
            "sas_device/expander-2:0",
            &[("sas_address", "0x500056b300000000")],
        ),
        (
            "sas_device/end_device-2:0:3",
            &[("sas_address", "0x5000c50000000002"), ("phy_identifier", "7")],
        ),
        ("sas_port/port-2:0:3", &[("num_phys", "1")]),
        (
            "sas_device/end_device-2:2",
            &[("sas_address", "0x5000c50000000003"), ("phy_identifier", "1")],
        ),
        ("sas_port/port-2:2", &[("num_phys", "4")]),
    ] {
        let (class, name) = class.split_once('/').unwrap();
        machine.class(&sas, class, name, attributes);
    }
    machine.scsi(&sas, "host2", "port-2:0/end_device-2:0/", "2:0:0:0", "sdc", &[]);
    let expander = "port-2:1/expander-2:0/port-2:0:3/end_device-2:0:3/";
    fs::remove_file(machine.root.path().join(format!("sys/{sas}/host2/subsystem"))).unwrap();
    machine.scsi(&sas, "host2", expander, "2:0:1:0", "sdd", &[]);
    fs::remove_file(machine.root.path().join(format!("sys/{sas}/host2/subsystem"))).unwrap();
    machine.scsi(&sas, "host2", "port-2:2/end_device-2:2/", "2:0:2:1", "sde", &[]);
}

fn other_scsi(machine: &Machine) {
    let raid = machine.pci("0000:03:00.0");
    let volume = [
        ("vendor", "DELL    "),
        ("model", "PERC H730 Mini  "),
        ("wwid", "naa.600508b1001c0001"),
    ];
    machine.device(&format!("{raid}/host3"), "scsi", "scsi_host", &[]);
    machine.scsi(&raid, "host4", "", "4:2:0:0", "sdf", &volume);

    let usb = machine.pci("0000:00:14.0");
    machine.device(&format!("{usb}/usb1"), "usb", "usb_device", &[]);
    let stick = format!("{usb}/usb1/1-4");
    machine.device(
        &stick,
        "usb",
        "usb_device",
        &[
            ("serial", "4C530001"),
            ("idVendor", "0781"),
            ("idProduct", "5583"),
        ],
    );
    let interface = format!("{stick}/1-4:1.0");
    let mass_storage = [
        ("bInterfaceClass", "08"),
        ("bInterfaceSubClass", "06"),
        ("bInterfaceProtocol", "50"),
    ];
    machine.device(&interface, "usb", "usb_interface", &mass_storage);
    let stick = [
        ("vendor", "SanDisk "),
        ("model", "Ultra Fit       "),
        ("rev", "1.00"),
        ("type", "0"),
    ];
    machine.scsi(&interface, "host5", "", "5:0:0:0", "sdg", &stick);
    fs::write(machine.root.path().join("sys/block/sdg/removable"), "1\n").unwrap();

    let virtio = machine.pci("0000:00:06.0");
    machine.device(&format!("{virtio}/virtio3"), "virtio", "", &[]);
    machine.scsi(
        &format!("{virtio}/virtio3"),
        "host6",
        "",
        "6:0:0:0",
        "sdh",
        &[("vendor", "QEMU    ")],
    );

    let fibre = machine.pci("0000:41:00.0");
    machine.class(
        &fibre,
        "fc_transport",
        "target7:0:1",
        &[("port_name", "0x50060e801049cfd1")],
    );
    machine.scsi(&fibre, "host7", "rport-7:0-1/", "7:0:1:3", "sdi", &[]);
}

fn nvme(machine: &Machine) {
    let nvme = format!("{}/nvme/nvme0", machine.pci("0000:3b:00.0"));
    let model = [
        ("model", "Fast  Disk                              "),
        ("serial", "N 1                 "),
    ];
    machine.device(&nvme, "nvme", "", &model);
    let namespace = [("nsid", "1"), ("wwid", "eui.0025385b71b12f62")];
    machine.disk(&format!("{nvme}/nvme0n1"), &nvme, &namespace);

    let shared = format!("{}/nvme/nvme1", machine.pci("0000:5e:00.0"));
    machine.device(&shared, "nvme", "", &[]);
    machine.folder("class/nvme", &[]);
    symlink(
        format!("../../{shared}"),
        machine.root.path().join("sys/class/nvme/nvme1"),
    )
    .unwrap();
    let subsystem = "devices/virtual/nvme-subsystem/nvme-subsys1";
    machine.device(subsystem, "nvme-subsystem", "", &[]);
    machine.disk(&format!("{subsystem}/nvme1n1"), subsystem, &[("nsid", "2")]);
    machine.disk(&format!("{shared}/nvme1c1n1"), &shared, &[("hidden", "1")]);
}
