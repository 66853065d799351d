# shellcheck shell=sh
# Shell functions for a volume and its brick, put before the scripts of beforehand.py, identity.py and
# state.py, behind lines that set these. glusterd's own files tell what is so.
info=/var/lib/glusterd/vols/${volume:?}/info
mark=trusted.glusterfs.volume-id

is_on_root() { # the brick lies, or would lie, on the system's own file system
  above=${brick:?}
  until [ -e "$above" ]; do above=$(dirname "$above"); done
  [ "$(stat -c %d "$above")" = "$(stat -c %d /)" ]
}

prospects() { # SERVER...: prints what may speak against the volume; nothing when there is one
  [ ! -f "$info" ] || return 0
  ! is_on_root || echo root
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

heals() { # a process copies what a brick misses: one for all volumes, whose number not each file has
  for file in /run/gluster/shd/*/*-shd.pid; do
    read -r pid <"$file" && read -r name <"/proc/$pid/comm" && [ "$name" = glusterfs ] &&
      grep -q '^State:.[RSDI]' "/proc/$pid/status" && return
  done 2>/dev/null
  return 1
}

address_of() { # NAME: prints its address, as far as this server can tell
  case $1 in
    *[!0-9.]*) getent ahostsv4 "$1" | { read -r address _ && echo "$address"; } ;;
    *) echo "$1" ;;
  esac
}

identity() { # prints what glusterd knows of itself and the others, and the volumes that it has
  cat /var/lib/glusterd/glusterd.info
  for each in /var/lib/glusterd/vols/*/info; do
    [ ! -f "$each" ] || echo "volume $(basename "${each%/info}")"
  done
  # By their UUIDs: what glusterd is writing, UUID.tmp, may be gone when it is read.
  for peer in /var/lib/glusterd/peers/*-????????????; do
    [ -e "$peer" ] || break
    uuid='' addresses=''
    while read -r line; do
      case $line in
        uuid=*) uuid=${line#*=} ;;
        hostname*) addresses="$addresses $(address_of "${line#*=}")" ;;
      esac
    done <"$peer"
    [ -z "$uuid" ] || echo "peer $uuid$addresses"
  done
}

restore() { # DIRECTORY: makes this server the member whose glusterd.info and peer-UUID files are there
  systemctl stop 'glusterd-watch*.service' 2>/dev/null || :
  systemctl stop glusterd.service
  rm -rf /var/lib/glusterd/peers
  install -d /var/lib/glusterd/peers
  install -m 0600 "$1/glusterd.info" /var/lib/glusterd/glusterd.info
  for file in "$1"/peer-*; do
    install -m 0600 "$file" "/var/lib/glusterd/peers/${file##*/peer-}"
  done
  systemctl start glusterd.service
  while read -r each; do
    await 60 "the others to tell of the volume $each" "[ -f /var/lib/glusterd/vols/$each/info ]"
  done <"$1/volumes"
}

is_made() { # there is such a volume
  [ -f "$info" ]
}

is_taken() { # the brick is a volume's
  getfattr -n "$mark" "$brick" >/dev/null 2>&1
}

state_of_brick() { # prints done when it is the volume's, or no volume is here; root when no disk is
  if [ ! -f "$info" ] || is_taken; then echo "done"; elif is_on_root; then echo root; fi
}

take() { # SERVER:BRICK: has the volume take an empty brick in the place of the one that was there
  is_made || return 0
  # GlusterFS knows a brick as the volume's only if its directory is there when it starts: those of all
  # volumes, so that it starts once.
  for each in ${bricks:?}; do mkdir -p "$each"; done
  # The file of its process number is as old as the process.
  [ -n "$(find /run/glusterd.pid -newer "$brick")" ] || systemctl restart glusterd.service
  await 60 'the storage servers to be connected' \
    "gluster pool list | awk '/Disconnected/ { away = 1 } END { exit away || NR < 2 }'"
  patiently reset "$1"
  say "the other servers copy to it what they hold of $volume: 'fab status' tells how much is left"
}

reset() { # SERVER:BRICK: both steps, as a server that connects in between starts the brick again
  gluster --mode=script volume reset-brick "$volume" "$1" start &&
    gluster --mode=script volume reset-brick "$volume" "$1" "$1" commit force
}

patiently() { # COMMAND...: also where another server is at work, or does not know the others yet
  begun=$(date +%s)
  until said=$("$@" 2>&1); do
    # What failed has left its mark on this brick: the next attempt would tell of nothing else.
    ! marked || unmark
    case $said in
      *"Peer in Cluster"* | *"Another transaction"* | *"Locking failed"*) ;;
      *"not connected"* | *"must be stopped"*) ;;
      *) echo "$said" && return 1 ;;
    esac
    [ $(($(date +%s) - begun)) -lt 60 ] || { echo "waited 60 s; last seen: $said" && return 1; }
    sleep 0.2
  done
}
