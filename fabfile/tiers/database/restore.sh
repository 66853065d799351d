# shellcheck shell=sh
# Brings PostgreSQL's cluster back to what it was; put behind state.sh and a line that sets archive, the
# program that gets things from the backups.

unit=postgresql@${version:?}-main.service

is_backed_up() { # SYSTEM: the cluster that runs is the one of the backups, by PostgreSQL's number for it
  [ "$(echo 'SELECT system_identifier FROM pg_control_system();' | ask)" = "$1" ] || return 1
  # Of one image, an empty one may have the same number; nothing of it was ever in the backups.
  ! is_empty || [ "$(echo 'SELECT last_archived_wal IS NULL FROM pg_stat_archiver;' | ask)" = f ]
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

is_back() { # it has replayed the log up to where it was to, and takes what is written
  [ "$(echo 'SELECT NOT pg_is_in_recovery();' | ask)" = t ]
}

forget_the_way() { # the settings that pgBackRest has made for that, some of which hold until a restart
  for setting in restore_command recovery_target_time recovery_target_action; do
    echo "ALTER SYSTEM RESET $setting;"
  done | ask
  systemctl restart "$unit"
}
