# shellcheck shell=sh
# Brings PostgreSQL's cluster back to what it was; put behind state.sh and a line that sets archive, the
# program that gets things from the backups, and given_up, the file that tells when it last kept none.

unit=postgresql@${version:?}-main.service

keep_first() { # SYSTEM: begins to hand over what was written so far, and sets piece, if there is anything
  export piece=
  # An empty cluster, in the place of a lost one, has nothing of anybody's.
  { has_data && ! is_empty; } || return 0
  number=$("${programs:?}/pg_controldata" "$(data)" | sed -n 's/^Database system identifier: *//p')
  [ "$number" = "$1" ] || {
    echo "the database that is there is not the one of the backups: 'invoke backup.now --anew' backs" \
      "it up; or move $(data) elsewhere, to have that of the backups in its place"
    return 1
  }
  locate || systemctl start "$unit" || :
  case $(echo 'SELECT pg_is_in_recovery();' | ask) in
  f) piece=$(hand_over) && export piece ;;
  t) ;; # it was being brought back, and nobody has written
  *) put_log_aside ;;
  esac
}

put_log_aside() { # what no backup has of the log of a cluster that does not run
  data=$(data)
  aside=$(dirname "$data")/log-of-$(date +%Y%m%d-%H%M%S)
  for file in "$data"/pg_wal/????????????????????????; do
    [ ! -e "$data/pg_wal/archive_status/$(basename "$file").done" ] || continue
    install -d -m 0700 -o postgres -g postgres "$aside" && cp -a "$file" "$aside/" || return
  done
  [ ! -d "$aside" ] || say "PostgreSQL does not answer: what no backup has of its log is in $aside"
}

handed_over() { # PIECE: the backups have what was written up to this piece of the log
  [ "$(echo "SELECT last_archived_wal >= '$1' FROM pg_stat_archiver;" | ask)" = t ]
}

hand_over() { # prints the piece of the log that has what was written so far, and begins another one
  # A time is found in the log by what was committed after it.
  echo 'SELECT pg_current_xact_id() IS NULL;' | ask >/dev/null || return
  # Somebody else may hand it over before the switch, which would name the next one then.
  echo "SELECT pg_walfile_name(pg_create_restore_point('restore'));" | ask || return
  echo 'SELECT pg_switch_wal();' | ask >/dev/null
}

when_given_up() { # prints when PostgreSQL last went on without its log being kept, if a cluster answers
  [ "$(echo 'SELECT pg_is_in_recovery();' | ask 2>/dev/null)" != f ] || cat "${given_up:?}" 2>/dev/null || :
}

has_room() { # BYTES: room for a cluster of that size in the place of the one that is there
  data=$(data)
  there=$(du -sk "$data" 2>/dev/null | cut -f 1)
  until [ -e "$data" ]; do data=$(dirname "$data"); done
  free=$(df -k --output=avail "$data" | tail -n 1)
  [ $(($1 / 1024 - ${there:-0})) -lt "$free" ] || {
    echo "what is brought back, and its log, have $(($1 >> 20)) MiB; what is there has" \
      "$((${there:-0} / 1024)) MiB, and $((free / 1024)) MiB are free in $data"
    return 1
  }
}

log_of() { # prints the last lines of PostgreSQL's own log
  tail -n 8 "/var/log/postgresql/postgresql-$version-main.log"
}

get_back() { # [OPTION...]: puts the files of the data directory in place; of pgBackRest
  systemctl stop "$unit"
  ! locate || { echo "PostgreSQL does not stop" && return 1; }
  data=$(data)
  install -d -m 0700 -o postgres -g postgres "$data"
  # One that was killed has left it.
  rm -f "$data/postmaster.pid"
  cd "$data" || return
  runuser -u postgres -- "${archive:?}" restore --delta \
    --recovery-option="restore_command=$archive get %f %p" "$@"
}

ends_before() { # TIME: the log that is kept ends before it: has the cluster go to its end, and says so
  lines=$(tail -n 60 "/var/log/postgresql/postgresql-$version-main.log")
  case $lines in
  *"recovery ended before configured recovery target was reached"*) ;;
  *) return 1 ;;
  esac
  last=$(echo "$lines" | sed -n 's/.*last completed transaction was at log time //p' | tail -n 1)
  say "PostgreSQL's log in the backups ends before $1: the database is as of ${last:-the backup itself}"
  systemctl stop "$unit"
  ! locate || { echo "PostgreSQL does not stop" && return 1; }
  sed -i '/^ *recovery_target_time/d' "$(data)/postgresql.auto.conf"
  systemctl start "$unit"
}

is_back() { # it has replayed the log up to where it was to, and takes what is written
  [ "$(echo 'SELECT NOT pg_is_in_recovery();' | ask)" = t ]
}

forget_the_way() { # the settings that pgBackRest has made for that, some of which hold until a restart
  for setting in restore_command recovery_target_time recovery_target_action; do
    echo "ALTER SYSTEM RESET $setting;"
  done | ask
  systemctl restart "$unit"
}
