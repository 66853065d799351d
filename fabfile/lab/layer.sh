#!/bin/sh
# Installs packages over an image, into a tree of its own: `layer.sh BASE DIRECTORY PACKAGE...`
# leaves them in DIRECTORY/upper. To be run in a mount and process namespace of its own, so that
# nothing stays mounted or running whatever happens.
set -eu
base=$1 directory=$2
shift 2
root=$directory/root

mkdir -p "$directory/upper" "$directory/work" "$root"
mount -t overlay lab -o "lowerdir=$base,upperdir=$directory/upper,workdir=$directory/work" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"

# invoke-rc.d(8): 101 forbids every start; the packages' services start at the machine's boot.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"

# The locale is what PostgreSQL's first cluster is made with, as on a machine of the lab.
apt() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 "$@"
}
# The base has package lists, which may have become too old to find the files.
apt install --no-install-recommends "$@" || {
    apt update
    apt install --no-install-recommends "$@"
}
# Debian asks which locales to make: without an answer there is none.
if [ -x "$root/usr/sbin/locale-gen" ]; then
    echo 'es_ES.UTF-8 UTF-8' > "$root/etc/locale.gen"
    chroot "$root" locale-gen > /dev/null
fi
apt clean
rm -f "$root/usr/sbin/policy-rc.d" "$root"/var/cache/apt/*.bin "$root"/var/log/apt/* \
    "$root/var/log/dpkg.log"
umount -R "$root"
