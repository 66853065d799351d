#!/bin/sh
# Makes a plain Debian tree a machine of the lab: `customize.sh TREE USER...`, run by mmdebstrap.
# What it leaves is what a rented machine has: SSH, a user with a key and sudo, a network at boot.
set -eu
tree=$1
shift

for user in "$@"; do
    chroot "$tree" useradd --create-home --shell /bin/bash "$user"
    printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$user" > "$tree/etc/sudoers.d/$user"
    chmod 0440 "$tree/etc/sudoers.d/$user"
done

echo 'LANG=C.UTF-8' > "$tree/etc/default/locale"
chroot "$tree" systemctl --quiet enable systemd-networkd.service

# No sense in a container: hardware, disks and consoles. apt's timers would hold dpkg's lock
# at times that nobody chose.
chroot "$tree" systemctl --quiet mask \
    apt-daily.timer apt-daily-upgrade.timer console-getty.service e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer getty@tty1.service systemd-pstore.service

# An SSH server that answers lets users in: without /run/nologin, which would refuse them until
# the boot is over, nobody has to try again (pam_nologin(8)).
mkdir -p "$tree/etc/tmpfiles.d"
ln -s /dev/null "$tree/etc/tmpfiles.d/systemd-nologin.conf"

# Extra certificate authorities that this computer trusts, such as a company proxy's.
if ls /usr/local/share/ca-certificates/*.crt > /dev/null 2>&1; then
    cp /usr/local/share/ca-certificates/*.crt "$tree/usr/local/share/ca-certificates/"
    chroot "$tree" update-ca-certificates > /dev/null
fi

# Each machine gets its own of these.
rm -f "$tree"/etc/ssh/ssh_host_* "$tree/etc/hostname"
: > "$tree/etc/resolv.conf"
: > "$tree/etc/machine-id"
rm -rf "$tree/var/log/journal"
