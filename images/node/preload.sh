#!/bin/sh
# Imports container images into a tree's containerd, so that a node needs no registry for its first cluster.
#   preload.sh ROOT ARCHIVES
# Runs in a mount and process namespace of its own: what is mounted and started here ends with it.
set -eu
root=$1 archives=$2

mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/archives"
mount --bind "$archives" "$root/run/archives"

chroot "$root" containerd --log-level warn >"$root/run/containerd.log" 2>&1 &
containerd=$!
tries=0
until chroot "$root" ctr version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then
        cat "$root/run/containerd.log" >&2
        echo "containerd did not start within 30 s" >&2
        exit 1
    fi
    sleep 0.1
done

# Containers start from the unpacked layers; the packed ones would only make the image a quarter larger.
for archive in "$root"/run/archives/*.tar; do
    chroot "$root" ctr -n k8s.io images import --platform linux/amd64 --discard-unpacked-layers \
        "/run/archives/$(basename "$archive")"
done
chroot "$root" ctr -n k8s.io content prune references >/dev/null
images=$(chroot "$root" ctr -n k8s.io images check)
packed=$(echo "$images" | awk 'NR > 1 && $NF != "true"')
if [ -n "$packed" ] || [ "$(echo "$images" | wc -l)" -le "$(find "$archives" -name '*.tar' | wc -l)" ]; then
    echo "not unpacked after import: ${packed:-$images}" >&2
    exit 1
fi
# The program of the control plane's images is the node's own: one copy on disk and in memory.
layers=$root/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots
shared=$(find "$layers" -path '*/fs/usr/local/bin/kube' -type f)
cmp -s "$shared" "$root/usr/bin/kube"
ln -f "$shared" "$root/usr/bin/kube"
kill "$containerd"
wait "$containerd" || true
