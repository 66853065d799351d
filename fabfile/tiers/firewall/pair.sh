# shellcheck shell=sh
# Put before the scripts that have a firewall be the only one again.

stop_telling() {
  grep -qs '^# Written by the deployer' /etc/conntrackd/conntrackd.conf || return 0
  systemctl -q disable --now conntrackd
  rm -f /etc/conntrackd/conntrackd.conf /etc/systemd/system/conntrackd.service.d/crm.conf \
    /usr/local/lib/crm-deployer/fw-connections /usr/local/lib/crm-deployer/fw-works \
    /run/fw-conntrackd.conf
  rmdir --ignore-fail-on-non-empty /etc/systemd/system/conntrackd.service.d
  systemctl daemon-reload
  echo "stays: conntrackd, stopped: 'apt-get purge conntrackd conntrack' removes it"
}
