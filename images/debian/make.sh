#!/bin/sh
# Makes the Debian tree that the other recipes start from.
#   make.sh MIRROR SUITE PACKAGES OUT
# PACKAGES is a list file, OUT a tar.zst. Needs root.
set -eu
mirror=$1 suite=$2 packages=$3 out=$4

include=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$packages" | tr -d ' \t' | paste -sd, -)

# An initrd made here would be thrown away by the node recipe, which wants its own; documentation and
# translations are two fifths of a small system.
export INITRD=No
exec mmdebstrap --mode=root --variant=minbase --include="$include" \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --aptopt='APT::Install-Recommends "false"' \
  --format=tar "$suite" "$out" "$mirror"
