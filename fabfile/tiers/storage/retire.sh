# shellcheck shell=sh
# Takes GlusterFS' part in the scenario off a machine, and leaves its brick; put into retire.sh of
# the operations. `whole` is not empty when all machines of the scenario are retired.

may_retire_storage() { # prints why not
  # The brick of a server that is taken away so is lost to the volume.
  [ -z "${whole:-}" ] && [ -n "$(ls -A /var/lib/glusterd/peers 2>/dev/null)" ] || return 0
  echo "its brick is part of a volume: 'gluster volume remove-brick' and 'gluster peer detach' first, on another storage server"
  return 1
}

retire_agreement() {
  ours /etc/default/etcd || return 0
  systemctl -q disable --now etcd
  rm -f /etc/default/etcd /etc/crm-deployer/etcd-again /etc/systemd/system/etcd.service.d/crm.conf
  rm -rf /var/lib/etcd/agreement
  echo "stays: etcd, stopped and without its settings: 'apt-get purge etcd-server etcd-client' removes it"
}

retire_storage() {
  retire_agreement
  [ -e /etc/systemd/system/glusterd.service.d/crm.conf ] || return 0
  systemctl -q disable --now glusterd
  # What restic knows of its repository, and where it looks at uploads.
  rm -rf /var/cache/backup-uploads
  for each in /mnt/uploads /mnt/uploads-brought; do
    [ ! -d "$each" ] || rmdir --ignore-fail-on-non-empty "$each"
  done
  bricks=$(cat /var/lib/glusterd/vols/*/bricks/* 2>/dev/null | sed -n 's/^path=/ and /p' | sort -u | tr -d '\n')
  echo "stays: what GlusterFS keeps in /var/lib/glusterd$bricks, stopped: 'apt-get purge glusterfs-server' and 'rm -r' remove it"
}
