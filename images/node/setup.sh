#!/bin/sh
#   setup.sh ROOT
# Sets a tree up as a node, after files/ were laid over it and the Kubernetes binaries put in
# place. Leaves a tree that is ready to become the root file system. Runs in a mount namespace of its own and
# calls itself again inside the tree.
set -eu
if [ $# = 1 ]; then
    root=$1
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    cp "$0" "$root/run/setup.sh"
    exec chroot "$root" sh /run/setup.sh
fi
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# What only the other recipes needed.
apt-get -qq -y purge --autoremove keepalived ipxe grub-pc-bin grub-efi-amd64-bin busybox-static >/dev/null
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /usr/share/doc/*/changelog* /var/log/*.log /var/log/apt

# Stable names, so that boot loader, kexec and people need not know the version.
version=$(ls /lib/modules)
ln -sf "vmlinuz-$version" /boot/vmlinuz
ln -sf "initrd.img-$version" /boot/initrd.img
rm -f "/boot/initrd.img-$version".*
update-initramfs -c -k "$version" >/dev/null
rm -f /initrd.img /initrd.img.old /vmlinuz.old
ln -sf boot/vmlinuz /vmlinuz
ln -sf boot/initrd.img /initrd.img

# Kubernetes.
systemctl -q enable kubelet.service containerd.service ssh.service systemd-networkd.service systemd-resolved.service \
    systemd-timesyncd.service
mkdir -p /opt/cni
ln -sfn /usr/lib/cni /opt/cni/bin
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf

# A node neither updates itself behind the operator's back nor scrubs, indexes or probes at boot.
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer man-db.timer serial-getty@ttyS0.service \
    systemd-pcrphase.service systemd-pcrphase-initrd.service systemd-pcrphase-sysinit.service
systemctl -q disable nftables.service 2>/dev/null || true

# Caches that packages have made are up to date: no first boot makes them again.
/usr/lib/systemd/systemd-update-done

# The seed's directory, so that whoever writes a seed into the disk need not make it.
mkdir -p /var/lib/cloud/seed/nocloud
chmod 0700 /var/lib/cloud/seed

# Identity is made on the machine: machine-id by systemd, host keys by cloud-init.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed /etc/hostname
: > /etc/machine-id
passwd -q -l root
rm -rf /tmp/* /var/tmp/* /root/.bash_history
