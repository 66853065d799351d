# shellcheck shell=sh
# Shell functions for PostgreSQL's own cluster, put before the scripts of state.py, behind a line
# that sets its version. Another cluster may run beside it, on any port, the usual one included.

settings=/etc/postgresql/${version:?}/main
programs=/usr/lib/postgresql/$version/bin

data() { # where the cluster keeps its data: a person may have moved it to another disk
  # Patroni puts its own in the place of Debian's, whose name is postgresql.base.conf then.
  sed -n "s/^ *data_directory[ =]*'\([^']*\)'.*/\1/p" "$settings/postgresql.base.conf" \
    "$settings/postgresql.conf" "$settings"/conf.d/*.conf 2>/dev/null | tail -n 1
}

# PostgreSQL manual, "Database File Layout": postmaster.pid holds process, data directory, start time,
# port and directory of the socket, a line each.
locate() { # sets port and socket to where the cluster listens; fails when it does not run
  data=$(data)
  [ -r "$data/postmaster.pid" ] || return 1
  { read -r pid && read -r _ && read -r _ && read -r port && read -r socket; } \
    <"$data/postmaster.pid" || return 1
  # A killed one leaves the file, and the number may be another process's by now.
  [ "$(readlink "/proc/$pid/cwd")" = "$(readlink -f "$data")" ] && [ -n "$socket" ]
}

has_cluster() {
  [ -e "$settings/postgresql.conf" ]
}

# The package makes it, but not when the machine's locale is not there, or somebody has told it not to.
make_cluster() { # settings that are there already would be in its way, and come back
  aside=$settings.aside
  if [ -d "$settings" ]; then rm -rf "$aside" && mv "$settings" "$aside"; fi
  pg_createcluster --encoding=UTF8 --locale=C.UTF-8 "$version" main || return
  [ ! -d "$aside" ] || { cp -a "$aside/." "$settings/" && rm -r "$aside"; }
}

# A restore that was cut has put all in place but pg_control, which pgBackRest keeps for the end.
has_data() {
  [ -e "$(data)/PG_VERSION" ] && [ -e "$(data)/global/pg_control" ]
}

tell() { # whether a query finds a row: prints done, or unknown if there is data and nobody answers
  # One question: between two, a cluster that starts may begin to answer.
  if found=$(ask); then
    [ "$found" != t ] || echo "done"
  elif has_data; then
    echo unknown
  fi
}

# The entries of files that are read after crm.conf, and of what ALTER SYSTEM has written, for a
# cluster that does not answer: as the query of settings.py prints them.
written() { # NAME...: prints those of these settings
  LC_ALL=C awk -v names="$*" -v ours="$settings/conf.d/crm.conf" '
    BEGIN { count = split(names, list, " "); for (n = 1; n <= count; n++) known[list[n]] }
    FNR == 1 { later = FILENAME ~ /auto\.conf$/ || FILENAME ~ /\/conf\.d\// && FILENAME > ours }
    /^[ \t]*include_dir/ { later = 1 }
    later && match($0, /^[ \t]*[A-Za-z_]+/) {
      name = tolower(substr($0, RSTART, RLENGTH))
      sub(/^[ \t]+/, "", name)
      if (!(name in known)) next
      value = substr($0, RSTART + RLENGTH)
      sub(/^[ \t]*=?[ \t]*/, "", value)
      if (value ~ /^\047/) { sub(/^\047/, "", value); sub(/\047[^\047]*$/, "", value) }
      else sub(/[ \t]*(#.*)?$/, "", value)
      gsub(/["\\]/, "\\\\&", value)
      printf "{\"name\": \"%s\", \"value\": \"%s\", \"file\": \"%s\", \"line\": %d, " \
        "\"written\": true}|setting\n", name, value, FILENAME, FNR
    }' "$settings/postgresql.conf" "$settings"/conf.d/*.conf "$(data)/postgresql.auto.conf"
}

reset_settings() { # NAME...: what ALTER SYSTEM has set of these is set no more
  if ! for name in "$@"; do echo "ALTER SYSTEM RESET $name;"; done | ask; then
    # It does not run, maybe since it cannot with these.
    for name in "$@"; do
      sed -i "/^ *$name *=/Id" "$(data)/postgresql.auto.conf" || return
    done
  fi
}

make_data() { # in place of a cluster's data that is gone; its settings are there
  data=$(data)
  install -d -m 0700 -o postgres -g postgres "$data"
  runuser -u postgres -- "$programs/initdb" -D "$data" --auth=peer \
    --encoding=UTF8 --locale=C.UTF-8 >/dev/null
}

is_empty() { # the cluster has nobody's database: but for those that initdb makes, by their numbers
  base=$(data)/base
  [ -z "$(find "$base" -mindepth 1 -maxdepth 1 ! -name 1 ! -name 4 ! -name 5 ! -name pgsql_tmp)" ]
}

is_twin() { # PROGRAM: an empty cluster that has the number of the one in the backups, which PROGRAM tells
  # Machines of one image have it from there, and what one writes must not mix with the other's.
  has_data && is_empty || return 1
  number=$("$programs/pg_controldata" "$(data)" | sed -n 's/^Database system identifier: *//p')
  cd / && runuser -u postgres -- "$1" info --output=json 2>/dev/null |
    grep -q "\"system-id\":${number}[,}]"
}

begin_anew() { # in the place of an empty cluster, another empty one with a number of its own
  is_empty || return
  systemctl stop "postgresql@$version-main.service"
  data=$(data)
  find "$data" -mindepth 1 -delete
  make_data
  systemctl start "postgresql@$version-main.service"
}

ask() { # the SQL on standard input, as PostgreSQL's administrator
  locate || { echo "PostgreSQL: the cluster $version/main does not run" >&2; return 1; }
  # Not /usr/bin/psql: a Perl script, which looks for a cluster for longer than psql works.
  # One that hangs takes connections, and never answers.
  cd / && PGCONNECT_TIMEOUT=5 runuser -u postgres -- "$programs/psql" \
    -h "$socket" -p "$port" -qAtX -v ON_ERROR_STOP=1
}

is_primary() { # it runs, and takes what is written
  [ "$(echo 'SELECT pg_is_in_recovery();' | ask 2>/dev/null)" = f ]
}
