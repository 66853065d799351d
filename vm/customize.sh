#!/bin/sh
# Makes a tree of Debian a computer that somebody uses: `customize.sh TREE PROJECT UUID`, run by
# mmdebstrap. UUID is that of the file system the tree will be on.
set -eu
tree=$1 project=$2 uuid=$3

chroot "$tree" useradd --create-home --shell /bin/bash --groups sudo student
echo student:student | chroot "$tree" chpasswd

# A clone without the way back to where it was made.
git clone --quiet --no-local "$project" "$tree/home/student/crm"
git -C "$tree/home/student/crm" remote remove origin
rm -r "$tree/home/student/crm/.git/logs"
chroot "$tree" chown -R student:student /home/student/crm

echo crm > "$tree/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 crm\n::1 localhost ip6-localhost ip6-loopback\n' \
    > "$tree/etc/hosts"
printf 'UUID=%s / ext4 errors=remount-ro 0 1\n' "$uuid" > "$tree/etc/fstab"
cat > "$tree/etc/systemd/network/ethernet.network" << 'END'
[Match]
Type=ether
Kind=!*

[Network]
DHCP=yes
END
chroot "$tree" systemctl --quiet enable systemd-networkd.service systemd-resolved.service
ln -sf ../run/systemd/resolve/stub-resolv.conf "$tree/etc/resolv.conf"

printf 'en_US.UTF-8 UTF-8\nes_ES.UTF-8 UTF-8\n' > "$tree/etc/locale.gen"
chroot "$tree" locale-gen > /dev/null
echo 'LANG=en_US.UTF-8' > "$tree/etc/default/locale"
cat >> "$tree/etc/issue" << 'END'
Log in as student, password student: a machine for behind NAT on your own computer.
The project is in the directory crm; its README.md begins with: python3 config.py

END

# A later kernel's package writes this file anew, from the settings in /etc/default/grub. The last
# console is the screen.
kernel='console=ttyS0 console=tty0'
sed -i "s/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX=\"$kernel\"/" "$tree/etc/default/grub"
mkdir -p "$tree/boot/grub"
cat > "$tree/boot/grub/grub.cfg" << END
insmod all_video
set timeout=1
menuentry Debian {
    linux /vmlinuz root=UUID=$uuid ro quiet $kernel
    initrd /initrd.img
}
END
# The package would ask for a disk to install to at each of its updates.
echo 'grub-pc grub-pc/install_devices_empty boolean true' | chroot "$tree" debconf-set-selections

# Debian's own sources, and nothing of the settings that this computer has for apt.
rm -f "$tree"/etc/apt/sources.list "$tree"/etc/apt/sources.list.d/* \
    "$tree"/etc/apt/apt.conf.d/99mmdebstrap "$tree/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
cp "$tree/usr/share/doc/apt/examples/debian.sources" "$tree/etc/apt/sources.list.d/"

# Each machine gets its own of these, at its first boot.
rm -f "$tree"/etc/ssh/ssh_host_*
: > "$tree/etc/machine-id"
cat > "$tree/etc/systemd/system/ssh-host-keys.service" << 'END'
[Unit]
Description=Make the SSH server's keys
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
END
chroot "$tree" systemctl --quiet enable ssh-host-keys.service
rm -rf "$tree/var/log/journal" "$tree/var/log/apt"
