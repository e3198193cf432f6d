//! The registry of stories.

mod api;
mod certificates;
mod cluster;
mod disk_names;
mod durability;
mod ended_certificates;
mod faults;
mod image_fails;
mod installer_bios;
mod members;
mod neighbour;
mod older_backup;
mod on_rack;
mod options;
mod package;
mod rescue;
mod resets;
mod restore;
mod standard;
mod two_roots;
mod upgrade;
mod workers;
mod workload_cluster;

use std::pin::Pin;

use crate::end::End;
pub(crate) use options::Options;

type Running = Pin<Box<dyn Future<Output = anyhow::Result<End>>>>;

/// A story.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    /// `ci`: every CI run; `full`: by hand, when its code changes.
    pub(crate) tier: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    /// What it needs beside the programs.
    pub(crate) needs: &'static str,
    /// How long it takes on two cores.
    pub(crate) minutes: u32,
    pub(crate) run: fn(Options) -> Running,
}

/// All stories.
pub(crate) const ALL: &[Story] = &[
    Story {
        name: "api",
        tier: "ci",
        about: "kubectl against gantry serve, and kill -9 in the middle of writes: nothing acknowledged is lost",
        needs: "kubectl (from the image cache, else on PATH); no root",
        minutes: 1,
        run: |options| Box::pin(api::run(options)),
    },
    Story {
        name: "certificates",
        tier: "full",
        about: "UEFI: a member gets new certificates by its own kubeadm, under writes; both ports show them",
        needs: "root, QEMU, openssl, built images (gantry image build), 6 GB of memory",
        minutes: 15,
        run: |options| Box::pin(certificates::run(options)),
    },
    Story {
        name: "cluster",
        tier: "ci",
        about: "UEFI: two blank machines become a cluster, appliance killed four times; Service, canary, delete",
        needs: "root, QEMU, built images (gantry image build), 6 GB of memory",
        minutes: 15,
        run: |options| Box::pin(cluster::run(options)),
    },
    Story {
        name: "disk-names",
        tier: "ci",
        about: "BIOS: power fails as the image is written and the disks change names: the pinned disk, never a stick",
        needs: "root, QEMU, built images (gantry image build), 3 GB of memory",
        minutes: 3,
        run: |options| Box::pin(disk_names::run(options)),
    },
    Story {
        name: "durability",
        tier: "ci",
        about: "strace on gantry serve: no API, DHCP, agent or first-boot reply leaves before its commit is synced",
        needs: "root, strace, udhcpc (hack/needs installs them)",
        minutes: 1,
        run: |options| Box::pin(durability::run(options)),
    },
    Story {
        name: "ended-certificates",
        tier: "full",
        about: "UEFI: certificates of the only member end; the installer renews them on its disk when a person has approved it",
        needs: "root, QEMU, openssl, built images (gantry image build), 6 GB of memory",
        minutes: 45,
        run: |options| Box::pin(ended_certificates::run(options)),
    },
    Story {
        name: "faults",
        tier: "ci",
        about: "BIOS: bad files, bad images, a small disk and a silent machine: each told with place and next step",
        needs: "root, QEMU, built images (gantry image build), 4 GB of memory",
        minutes: 4,
        run: |options| Box::pin(faults::run(options)),
    },
    Story {
        name: "image-fails",
        tier: "full",
        about: "UEFI: an upgrade to an image that never starts stops at its first machine, and goes back, under writes",
        needs: "root, QEMU, debugfs, built images (gantry image build), 10 GB of memory",
        minutes: 45,
        run: |options| Box::pin(image_fails::run(options)),
    },
    Story {
        name: "installer-bios",
        tier: "ci",
        about: "BIOS: a user's Template puts a system on a blank disk, by kexec with one power-on, and by reboot",
        needs: "root, QEMU, built images (gantry image build), 4 GB of memory",
        minutes: 12,
        run: |options| Box::pin(installer_bios::run(options)),
    },
    Story {
        name: "members",
        tier: "full",
        about: "UEFI: three control planes under writes; the machine with the shared address dies for good; then three to one",
        needs: "root, QEMU, built images (gantry image build), 12 GB of memory",
        minutes: 45,
        run: |options| Box::pin(members::run(options)),
    },
    Story {
        name: "neighbour",
        tier: "ci",
        about: "a host that floods every listener: boot script, agent and kubectl as usual, memory and records bounded",
        needs: "root, kubectl (from the image cache, else on PATH)",
        minutes: 1,
        run: |options| Box::pin(neighbour::run(options)),
    },
    Story {
        name: "older-backup",
        tier: "full",
        about: "UEFI: the appliance is lost, and restored from a backup that is older than one of its machines: none is touched",
        needs: "root, QEMU, built images (gantry image build), 10 GB of memory",
        minutes: 25,
        run: |options| Box::pin(older_backup::run(options)),
    },
    Story {
        name: "package",
        tier: "ci",
        about: "the Debian package in a bare Debian: installed, a signed bundle imported, started as its unit does, upgraded, purged",
        needs: "root, dpkg-deb, minisign, built images (gantry image build), 3 GB of disk",
        minutes: 2,
        run: |options| Box::pin(package::run(options)),
    },
    Story {
        name: "rescue",
        tier: "full",
        about: "BIOS: a machine in quarantine is booted to look at it, appliance killed; then wiped, power cut, given back",
        needs: "root, QEMU, built images (gantry image build), 4 GB of memory",
        minutes: 10,
        run: |options| Box::pin(rescue::run(options)),
    },
    Story {
        name: "resets",
        tier: "full",
        about: "UEFI, network first: machines reset while they install and when they run, appliance up and down; then roles swapped",
        needs: "root, QEMU, built images (gantry image build), 6 GB of memory",
        minutes: 35,
        run: |options| Box::pin(resets::run(options)),
    },
    Story {
        name: "restore",
        tier: "full",
        about: "UEFI: the only member of a control plane is lost for good, and another machine starts with a snapshot",
        needs: "root, QEMU, built images (gantry image build), 10 GB of memory",
        minutes: 30,
        run: |options| Box::pin(restore::run(options)),
    },
    Story {
        name: "standard",
        tier: "full",
        about: "UEFI: the values of Kubernetes instead of those for emulated machines, once to Ready, under writes",
        needs: "root, QEMU, built images (gantry image build), 6 GB of memory",
        minutes: 15,
        run: |options| Box::pin(standard::run(options)),
    },
    Story {
        name: "two-roots",
        tier: "ci",
        about: "BIOS and UEFI: of two disks with the node image, in both orders, the one that was started is root",
        needs: "root, QEMU, OVMF, built images (gantry image build), 4 GB in /var/tmp",
        minutes: 3,
        run: |options| Box::pin(two_roots::run(options)),
    },
    Story {
        name: "upgrade",
        tier: "full",
        about: "UEFI: another image for a member with a spare server and a worker without one, under writes",
        needs: "root, QEMU, built images (gantry image build), 10 GB of memory",
        minutes: 30,
        run: |options| Box::pin(upgrade::run(options)),
    },
    Story {
        name: "upgrade-alone",
        tier: "full",
        about: "UEFI: another image for a member and a worker that have no spare server, under writes",
        needs: "root, QEMU, built images (gantry image build), 7 GB of memory",
        minutes: 30,
        run: |options| Box::pin(upgrade::run_alone(options)),
    },
    Story {
        name: "upgrade-minor",
        tier: "full",
        about: "UEFI: a member and a worker from one minor version of Kubernetes to the next, under writes",
        needs: "root, QEMU, images of both (gantry image build, and --kubernetes 1.34), 10 GB of memory",
        minutes: 40,
        run: |options| Box::pin(upgrade::run_minor(options)),
    },
    Story {
        name: "workers",
        tier: "full",
        about: "UEFI: workers under writes: a bad disk, a PodDisruptionBudget that blocks a drain, a machine that dies",
        needs: "root, QEMU, built images (gantry image build), 10 GB of memory",
        minutes: 45,
        run: |options| Box::pin(workers::run(options)),
    },
    Story {
        name: "workload-cluster",
        tier: "full",
        about: "UEFI: a management and a workload cluster side by side, made, scaled and deleted by kubectl alone",
        needs: "root, QEMU, built images (gantry image build), 9 GB of memory",
        minutes: 30,
        run: |options| Box::pin(workload_cluster::run(options)),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_tiers_known() {
        let names: BTreeSet<&str> = ALL.iter().map(|story| story.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|story| ["ci", "full"].contains(&story.tier)));
    }
}
