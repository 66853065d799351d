# shellcheck shell=sh
# Takes off a machine what deploy has put there. Packages stay, which others may use by now, and data.
set -eu
cd /
header='^# Written by the deployer'

# The brick of a server that is taken away so is lost to the volume.
if [ -n "$(ls -A /var/lib/glusterd/peers 2>/dev/null)" ]; then
    echo "its brick is part of a volume: 'gluster volume remove-brick' and 'gluster peer detach' first, on another storage server"
    exit 3
fi

stays=
applications=
for file in /etc/crm-deployer/*.env; do
    [ ! -e "$file" ] || applications="$applications $(basename "$file" .env)"
done

for unit in $(grep -ls "$header" /etc/systemd/system/*.timer /etc/systemd/system/*.service \
    /etc/systemd/system/*.socket /etc/systemd/system/*.mount | xargs -rn1 basename); do
    case $unit in
    *@.*) ;;
    *) systemctl -q disable --now "$unit" || systemctl -q stop "$unit" ;;
    esac
    rm -f "/etc/systemd/system/$unit"
done

# Debian's services that served this scenario alone.
if grep -qs "$header" /etc/haproxy/haproxy.cfg; then
    systemctl -q disable --now haproxy
    rm -f /etc/haproxy/haproxy.cfg
fi
for settings in /etc/postgresql/*/main/conf.d/crm.conf; do
    [ -e "$settings" ] || continue
    version=${settings#/etc/postgresql/}
    version=${version%%/*}
    systemctl -q stop "postgresql@$version-main"
    rm -f "$settings"
    stays="$stays /var/lib/postgresql/$version/main"
done
if [ -e /etc/systemd/system/glusterd.service.d/crm.conf ]; then
    systemctl -q disable --now glusterd
    stays="$stays /var/lib/glusterd"
fi

for name in $applications; do
    if [ -n "$(find "/srv/$name/uploads" -type f -print -quit 2>/dev/null)" ]; then
        stays="$stays /srv/$name/uploads"
        find "/srv/$name" -mindepth 1 -maxdepth 1 ! -name uploads -exec rm -rf {} +
    else
        rm -rf "/srv/$name"
        ! id "$name" >/dev/null 2>&1 || userdel "$name"
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

rm -rf /etc/fw /etc/crm-deployer /usr/local/lib/crm-deployer /var/cache/crm-build \
    /etc/sysctl.d/6?-crm-*.conf /etc/systemd/system/*.d/crm.conf \
    /etc/systemd/journald.conf.d/crm.conf /var/lib/crm-deployer
systemctl daemon-reload
for path in $stays; do
    echo "stays: $path"
done
