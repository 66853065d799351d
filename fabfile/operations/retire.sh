# shellcheck shell=sh
# Takes off a machine what deploy has put there. Packages stay, which others may use by now, and data:
# it prints a line "stays: " for each thing, with what removes it. Put behind the functions of each
# tier, retire_TIER and may_retire_TIER, and a line that sets tiers. Ends with 3 when it must not be.
set -eu
cd /
header='^# Written by the deployer'

ours() { # FILE: deploy has written it
  grep -qs "$header" "$1"
}

retire_units() {
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
}

retire_settings() {
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
}

for tier in ${tiers:?}; do
  ! command -v "may_retire_$tier" >/dev/null || "may_retire_$tier" || exit 3
done
retire_units
for tier in $tiers; do
  ! command -v "retire_$tier" >/dev/null || "retire_$tier"
done
retire_settings
rm -rf /etc/crm-deployer /usr/local/lib/crm-deployer /var/lib/crm-deployer
systemctl daemon-reload
