# shellcheck shell=sh
# Brings backups of the database into a cluster of its own beside the one that serves, to look at or to
# compare; put behind state.sh and lines that set archive, the program that gets things from the backups,
# result, the file that tells how the last comparison ended, and spare, the MiB that stay free: with less,
# PostgreSQL may have to go on without its log being kept.

scratch=/var/lib/postgresql/scratch
SECONDS_TO_KEEP=90

clear_away() {
  [ ! -e "$scratch/postmaster.pid" ] ||
    runuser -u postgres -- "${programs:?}/pg_ctl" -D "$scratch" -s -m immediate stop || :
  rm -rf "$scratch"
}

size_of_data() { # prints the bytes of the cluster that serves, without its log
  echo $(($(du -sk --exclude=pg_wal "$(data)" 2>/dev/null | cut -f 1) * 1024))
}

has_room() { # COPY LOAD: so many bytes for a copy, and for what is written into the cluster that serves
  beside=$(dirname "$scratch")
  if [ "$(stat -c %d "$(data)")" = "$(stat -c %d "$beside")" ]; then
    is_free $(($1 + $2)) "$beside"
  else
    is_free "$1" "$beside" && { [ "$2" = 0 ] || is_free "$2" "$(data)"; }
  fi
}

is_free() { # BYTES DIRECTORY
  free=$(($(df -k --output=avail "$2" | tail -n 1) / 1024))
  needs=$((($1 >> 20) + ${spare:?}))
  [ "$needs" -lt "$free" ] || {
    echo "it takes $needs MiB in $2, of which $spare stay free, and there are $free MiB"
    return 1
  }
}

fill() { # COPY LOAD [OPTION...]: makes the cluster from the backups, and starts it; of pgBackRest
  clear_away
  has_room "$1" "$2" || return
  shift 2
  install -d -m 0700 -o postgres -g postgres "$scratch"
  cd "$scratch" || return
  # Its log is nobody's; without hot_standby, it answers when it is where it was to be.
  runuser -u postgres -- "${archive:?}" restore --archive-mode=off \
    --recovery-option="restore_command=$archive get %f %p" \
    --recovery-option=hot_standby=off "$@" || return
  # Settings are the other one's, but for the places.
  given="-c config_file=${settings:?}/postgresql.conf -c data_directory=$scratch"
  given="$given -c hba_file=$settings/pg_hba.conf -c ident_file=$settings/pg_ident.conf"
  given="$given -c listen_addresses='' -c unix_socket_directories=$scratch -c external_pid_file=''"
  given="$given -c port=5432 -c shared_buffers=16MB -c archive_mode=off -c max_wal_size=256MB"
  runuser -u postgres -- "$programs/pg_ctl" -D "$scratch" -s -w -t 86400 -l "$scratch/log" \
    -o "$given" start 9>&- || { tail -n 8 "$scratch/log" && return 1; }
  # It takes the state of a standby, where it answers nobody, for a start.
  until [ "$(echo 'SELECT NOT pg_is_in_recovery();' | ask_scratch postgres 2>/dev/null)" = t ]; do
    runuser -u postgres -- "$programs/pg_ctl" -D "$scratch" status >/dev/null || {
      tail -n 8 "$scratch/log"
      return 1
    }
    sleep 0.5
  done
}

ask_scratch() { # DATABASE: the SQL on standard input, in the cluster beside
  cd / && runuser -u postgres -- "$programs/psql" -h "$scratch" -p 5432 -qAtX \
    -v ON_ERROR_STOP=1 -d "$1"
}

ask_in() { # DATABASE: the SQL on standard input, in the cluster that serves
  locate || { echo "PostgreSQL does not run" && return 1; }
  cd / && runuser -u postgres -- "$programs/psql" -h "${socket:?}" -p "${port:?}" -qAtX \
    -v ON_ERROR_STOP=1 -d "$1"
}

kept() { # waits until the backups have what was written so far
  # A time is found in the log by what was committed after it.
  echo 'SELECT pg_current_xact_id() IS NULL;' | ask >/dev/null || return
  # Somebody else may hand it over before the switch, which would name the next one then.
  piece=$(echo "SELECT pg_walfile_name(pg_create_restore_point('compare'));" | ask) || return
  echo 'SELECT pg_switch_wal();' | ask >/dev/null || return
  end=$(($(date +%s) + SECONDS_TO_KEEP))
  until [ "$(echo "SELECT last_archived_wal >= '$piece' FROM pg_stat_archiver;" | ask)" = t ]; do
    [ "$(date +%s)" -lt "$end" ] || {
      echo "waited $SECONDS_TO_KEEP s for the backups to have $piece"
      return 1
    }
    sleep 1
  done
}

into() { # NAME DATABASE COPY SIZE [OPTION...]: makes the database NAME of what DATABASE was
  name=$1 of=$2 copy=$3 size=$4
  shift 4
  trap clear_away EXIT
  ! locate || kept || return
  # The database once more, and the log that PostgreSQL writes of it until the backups have that.
  fill "$copy" $((2 * size)) "$@" || return
  ask <<SQL || return
CREATE DATABASE "$name" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE "$name" FROM PUBLIC;
SQL
  locate || return
  load || {
    echo "DROP DATABASE \"$name\";" | ask
    return 1
  }
}

load() { # copies the database $of of the cluster beside into $name
  cd / || return
  # One that ends early is no dump to pg_restore; that it has said so, is kept all the same.
  { runuser -u postgres -- "$programs/pg_dump" -h "$scratch" -p 5432 -Fc "$of" || : >"$scratch/failed"; } |
    runuser -u postgres -- "$programs/pg_restore" -h "$socket" -p "$port" -d "$name" || return
  [ ! -e "$scratch/failed" ]
}

tables() { # DATABASE: prints all of its tables, as LOCK takes them
  ask_in "$1" <<'SQL'
SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema');
SQL
}

sums() { # DATABASE: prints the SQL that counts rows and hashes of each table, whatever their order
  ask_in "$1" <<'SQL'
SELECT format(
    $$SELECT %1$L, %2$L, count(*), sum(('x' || left(md5(t::text), 15))::bit(60)::bigint) FROM %1$I.%2$I t;$$,
    schemaname, tablename)
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1;
SQL
}

compare() { # DATABASE: counts rows and hashes of each table, here and as the backups have them
  of=$1 point=check-$(date +%s)
  all=$(tables "$of") && counted=$(sums "$of") || return
  [ "$all" ] || { echo "$of has no tables" && return 1; }
  # All that was committed before the point is seen, and nothing else: nobody writes for a moment.
  # The locks end with the savepoint, what is seen stays.
  here=$(ask_in "$of" <<SQL
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL lock_timeout = '5s';
SAVEPOINT quiet;
LOCK TABLE $all IN SHARE MODE;
SELECT pg_create_restore_point('$point') \\g /dev/null
ROLLBACK TO SAVEPOINT quiet;
$counted
COMMIT;
SQL
  ) || return
  kept || return
  size=$(size_of_data)
  # PostgreSQL keeps some of the log that it replays: see max_wal_size.
  fill $((size + size / 20 + (512 << 20))) 0 --type=name --target="$point" --target-action=promote || return
  there=$(echo "$counted" | ask_scratch "$of") || return
  if [ "$here" != "$there" ]; then
    echo "$of differs from its backup; here, and there:"
    echo "$here" >"$scratch/here"
    echo "$there" | diff "$scratch/here" - || :
    return 1
  fi
  echo "$here" | awk -F'|' '{ rows += $3 } END { printf "%d tables with %d rows are the same in the backups\n", NR, rows }'
}

check() { # DATABASE: compares, and notes how that ended
  trap clear_away EXIT
  code=0
  said=$(compare "$1" 2>&1) || code=$?
  install -d "$(dirname "${result:?}")"
  echo "$(date +%s) $code $(echo "$said" | head -n 1)" >"$result.new"
  mv "$result.new" "$result"
  echo "$said"
  return "$code"
}
