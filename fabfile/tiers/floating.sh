# shellcheck shell=sh
# Put before the scripts that have a machine share no address any more.

stop_sharing() {
  grep -qs '^# Written by the deployer' /etc/keepalived/keepalived.conf || return 0
  systemctl -q disable --now keepalived
  rm -f /etc/keepalived/keepalived.conf /etc/keepalived/crm-interfaces.conf \
    /usr/local/lib/crm-deployer/name-interfaces /etc/systemd/system/keepalived.service.d/crm.conf
  rmdir --ignore-fail-on-non-empty /etc/systemd/system/keepalived.service.d
  systemctl daemon-reload
  echo "stays: keepalived, stopped: 'apt-get purge keepalived' removes it"
}
