#!/usr/bin/env bash
# Makes WORK/disk.raw: `build.sh PROJECT WORK`, run by bin/make-vm in a mount and process namespace
# of its own. No loop device is needed: each part is written into the file at its place.
# It boots by BIOS and by UEFI (Secure Boot off), with the boot loader of the Debian on it.
set -euo pipefail
project=$1 work=$2
tree=$work/tree
here=$project/vm

mib=$((1024 * 1024))
# Where the parts are, in MiB. GRUB's own part has to be small and early.
grub=1 esp=2 root=66 size=20480
uuid=$(cat /proc/sys/kernel/random/uuid)

# Python finds the project where it is started.
cd "$project"
settings=$(.venv/bin/python -c \
    'from fabfile.lab.images import apt_options; [print(line) for line in apt_options()]')
options=()
[ -z "$settings" ] || mapfile -t options <<<"$settings"
options=("${options[@]/#/--aptopt=}")

echo "vm      installing Debian 13"
mapfile -t packages < <(grep -v '^#' "$here/packages.txt")
mmdebstrap --quiet --mode=root --variant=important --architectures=amd64 \
    --include="$(IFS=, && echo "${packages[*]}")" \
    --dpkgopt=force-unsafe-io "${options[@]}" \
    --customize-hook="sh '$here/customize.sh' \"\$1\" '$project' $uuid" \
    trixie "$tree"

echo "vm      writing the disk"
# GRUB finds its files by the file system they are on, wherever the disk is.
# shellcheck disable=SC2016 # GRUB expands it
printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\n' "$uuid" >"$tree/early.cfg"
image() { # FORMAT FILE MODULE...: GRUB's first part, and all its modules beside its settings
    cp -r "$tree/usr/lib/grub/$1" "$tree/boot/grub/"
    chroot "$tree" grub-mkimage -O "$1" -o "$2" -c /early.cfg -p /boot/grub \
        part_gpt ext2 search_fs_uuid normal "${@:3}"
}
image i386-pc /core.img biosdisk
image x86_64-efi /bootx64.efi
mv "$tree/core.img" "$tree/bootx64.efi" "$work"
rm "$tree/early.cfg"

disk=$work/disk.raw
truncate -s "${size}M" "$disk"
# The types of GPT: "BIOS boot" is where GRUB lies for a BIOS, U an EFI System Partition.
sfdisk --quiet "$disk" <<END
label: gpt
start=${grub}MiB, size=$((esp - grub))MiB, type=21686148-6449-6E6F-744E-656564454649, bootable
start=${esp}MiB, size=$((root - esp))MiB, type=U
start=${root}MiB, type=L
END
# One MiB at the end stays for the second table of GPT.
mke2fs -q -t ext4 -U "$uuid" -L crm -d "$tree" -E "offset=$((root * mib))" \
    "$disk" "$((size - root - 1))M"

# grub-bios-setup asks which device its files are on, and takes the file for it when it is told so
# (mkosi does the same). It does not use that device, since there is a part for GRUB itself.
cp "$tree/usr/lib/grub/i386-pc/boot.img" "$work"
touch "$tree/disk.raw"
mount --bind "$disk" "$tree/disk.raw"
mkdir "$tree/boot-images"
cp "$work/core.img" "$work/boot.img" "$tree/boot-images"
mount -t proc proc "$tree/proc"
echo "1 0 1:1 / / - fat /disk.raw" >"$work/mountinfo"
# shellcheck disable=SC2016 # that shell expands it
sh -euc 'mount --bind "$1" "$2/proc/$$/mountinfo"; exec chroot "$2" \
    grub-bios-setup --directory=/boot-images /disk.raw' - "$work/mountinfo" "$tree"

at="$disk@@${esp}M"
mformat -i "$at" -T $(((root - esp) * mib / 512)) -v ESP ::
mmd -i "$at" ::EFI ::EFI/BOOT
mcopy -i "$at" "$work/bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
