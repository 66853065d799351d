# shellcheck shell=sh
# Shell functions for a volume that is still to be made, put before the scripts of beforehand.py and
# state.py, behind lines that set these. glusterd's own files tell what is so.
info=/var/lib/glusterd/vols/${volume:?}/info
mark=trusted.glusterfs.volume-id

prospects() { # SERVER...: prints what may speak against the volume; nothing when there is one
  [ ! -f "$info" ] || return 0
  above=${brick:?}
  until [ -e "$above" ]; do above=$(dirname "$above"); done
  echo "above $(stat -c %d "$above") $(stat -c %d /)"
  ! mountpoint -q "$brick" || echo mounted
  for server in "$@"; do
    ip -o route get "$server" | sed -n "s/.* src \\([^ ]*\\).*/from \\1 $server/p"
  done
}

marked() { # an attempt to make a volume that failed has left its mark on the brick, and no file
  # A member of the pool knows all volumes: there is none that the mark could be of.
  [ ! -f "$info" ] && [ -n "$(ls /var/lib/glusterd/peers)" ] && [ -d "$brick" ] &&
    getfattr -n "$mark" "$brick" >/dev/null 2>&1 &&
    [ -z "$(find "$brick" -path "$brick/.glusterfs" -prune -o -mindepth 1 -print -quit)" ]
}

unmark() {
  setfattr -x "$mark" "$brick"
  rm -rf "$brick/.glusterfs"
}

create() { # COMMAND...: makes the volume; the first server may know the others too early
  begun=$(date +%s)
  until said=$("$@" 2>&1); do
    # What failed has left its mark on this brick: the next attempt would tell of nothing else.
    ! marked || unmark
    case $said in
      *"Peer in Cluster"* | *"Another transaction"* | *"Locking failed"*) ;;
      *) echo "$said" && return 1 ;;
    esac
    [ $(($(date +%s) - begun)) -lt 60 ] || { echo "waited 60 s; last seen: $said" && return 1; }
    sleep 0.2
  done
}
