# shellcheck shell=sh
# Takes HAProxy off a machine; put into retire.sh of the operations.

retire_balancer() {
  stop_sharing
  ours /etc/haproxy/haproxy.cfg || return 0
  systemctl -q disable --now haproxy
  rm -f /etc/haproxy/errors/crm-503.http /etc/haproxy/haproxy.cfg
  echo "stays: haproxy, stopped and without its haproxy.cfg: 'apt-get purge haproxy' removes it, 'apt-get install --reinstall -o Dpkg::Options::=--force-confmiss haproxy' brings Debian's file"
}
