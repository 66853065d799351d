# shellcheck shell=sh
# Opens a machine as it was before: takes off the rules of fw and those of a machine of its own; put
# into retire.sh of the operations.

retire_firewall() {
  stop_sharing
  stop_telling
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
  rm -rf /etc/fw /run/fw-rules* /run/fw-held* /run/fw-before* /run/fw-refused* /run/fw.lock \
    /run/crm-host-rules*
}
