# shellcheck shell=sh
# Takes off a machine what deploy has put there. Packages stay, which others may use by now, and data:
# it prints a line "stays: " for each thing, with what removes it. `applications` names those that
# config.py knows; `whole` is not empty when all machines of the scenario are retired.
set -eu
cd /
header='^# Written by the deployer'

# The brick of a server that is taken away so is lost to the volume.
if [ -z "${whole:-}" ] && [ -n "$(ls -A /var/lib/glusterd/peers 2>/dev/null)" ]; then
    echo "its brick is part of a volume: 'gluster volume remove-brick' and 'gluster peer detach' first, on another storage server"
    exit 3
fi

for file in /etc/crm-deployer/*.env; do
    [ ! -e "$file" ] || applications="${applications-} $(basename "$file" .env)"
done

ours() { # FILE: deploy has written it
    grep -qs "$header" "$1"
}

for unit in $(grep -ls "$header" /etc/systemd/system/*.timer /etc/systemd/system/*.service \
    /etc/systemd/system/*.socket /etc/systemd/system/*.mount | xargs -rn1 basename); do
    case $unit in
    *@.*) ;;
    *) systemctl -q disable --now "$unit" || systemctl -q stop "$unit" ;;
    esac
    case $unit in
    *.mount)
        # The directory that it was mounted on: it is empty, or not only ours.
        where=$(systemctl show -P Where "$unit")
        [ ! -d "$where" ] || rmdir --ignore-fail-on-non-empty "$where"
        ;;
    esac
    rm -f "/etc/systemd/system/$unit"
done

# Debian's services that served this scenario alone.
if ours /etc/haproxy/haproxy.cfg; then
    systemctl -q disable --now haproxy
    rm -f /etc/haproxy/errors/crm-503.http /etc/haproxy/haproxy.cfg
    echo "stays: haproxy, stopped and without its haproxy.cfg: 'apt-get purge haproxy' removes it, 'apt-get install --reinstall -o Dpkg::Options::=--force-confmiss haproxy' brings Debian's file"
fi
for settings in /etc/postgresql/*/main/conf.d/crm.conf; do
    [ -e "$settings" ] || continue
    cluster=${settings%/conf.d/crm.conf}
    version=$(basename "${cluster%/main}")
    systemctl -q disable --now "postgresql@$version-main"
    # See pg_createcluster(1): Debian starts a cluster at boot, whatever systemd was told of its unit.
    sed -i 's/^auto$/manual/' "$cluster/start.conf"
    # Who is logged in on the machine gets in as before, and nobody from the network.
    ! ours "$cluster/pg_hba.conf" || sed -i '/^#/d; /^host/d' "$cluster/pg_hba.conf"
    data=$(pg_lsclusters -h | awk -v v="$version" '$1 == v && $2 == "main" { print $6 }')
    rm -f "$settings"
    echo "stays: the databases in $data, stopped: 'pg_dropcluster $version main' removes them"
done
if [ -e /etc/systemd/system/glusterd.service.d/crm.conf ]; then
    systemctl -q disable --now glusterd
    bricks=$(cat /var/lib/glusterd/vols/*/bricks/* 2>/dev/null | sed -n 's/^path=/ and /p' | sort -u)
    echo "stays: what GlusterFS keeps in /var/lib/glusterd$bricks, stopped: 'apt-get purge glusterfs-server' and 'rm -r' remove it"
fi

for name in $(echo "${applications-}" | tr ' ' '\n' | sort -u); do
    home=/srv/$name
    # Somebody else's user of that name lives elsewhere.
    if [ "$(getent passwd "$name" | cut -d: -f6)" != "$home" ]; then
        continue
    elif [ -n "$(find "$home/uploads" -type f -print -quit 2>/dev/null)" ]; then
        find "$home" -mindepth 1 -maxdepth 1 ! -name uploads -exec rm -rf {} +
        echo "stays: $home/uploads, and the user $name that they belong to: 'rm -r $home' and 'userdel $name' remove them"
    else
        rm -rf "$home"
        userdel "$name"
    fi
done
! id crm-build >/dev/null 2>&1 || userdel crm-build

if [ -e /etc/fw/fw.fw ]; then
    for tables in iptables ip6tables; do
        for chain in INPUT FORWARD OUTPUT; do
            $tables -w 5 -P $chain ACCEPT
        done
        $tables -w 5 -F
        ! $tables -w 5 -S SPOOFED >/dev/null 2>&1 || $tables -w 5 -X SPOOFED
    done
fi
! command -v nft >/dev/null || ! nft list table inet crm_host >/dev/null 2>&1 ||
    nft delete table inet crm_host

# What is set by hand or by others comes back from their own files.
for file in /etc/sysctl.d/6?-crm-*.conf; do
    [ -e "$file" ] || continue
    sed -n 's,^\(net/[^ ]*\) *=.*,\1,p' "$file" | while read -r key; do
        echo 0 >"/proc/sys/$key"
    done
    rm -f "$file"
    /lib/systemd/systemd-sysctl
done
for file in /etc/systemd/system/*.d/crm.conf /etc/systemd/journald.conf.d/crm.conf; do
    [ -e "$file" ] || continue
    rm -f "$file"
    rmdir --ignore-fail-on-non-empty "${file%/*}"
    case $file in
    */journald.conf.d/*) systemctl restart systemd-journald ;;
    esac
done
rm -rf /etc/fw /etc/crm-deployer /usr/local/lib/crm-deployer /var/cache/crm-build \
    /run/crm-host-rules* /run/fw-rules* /run/fw-held* /run/fw-before* /run/fw-refused* \
    /run/fw.lock /var/lib/crm-deployer
systemctl daemon-reload
