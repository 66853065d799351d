# shellcheck shell=sh
# Shell functions for Patroni, put behind state.sh, what tells etcdctl where etcd is, and lines that set
# scope (the name of all members), member (this one's), space, configuration, unit and rest; functions holds
# the text of all of these, for what is awaited in a shell of its own.

taken=/etc/patroni/taken-over

# Patroni's documentation, "REST API". Its own program takes a third of a second to start, in which
# clients may be waiting.
patroni() { # METHOD PATH [BODY]: prints what it says; fails unless that is 200
  body=${3:-}
  said=$(printf '%s %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s' "$1" "$2" ${#body} "$body" |
    timeout 60 openssl s_client -quiet -verify_return_error -CAfile "$ETCDCTL_CACERT" \
      -cert "$ETCDCTL_CERT" -key "$ETCDCTL_KEY" -connect "${rest:?}" 2>/dev/null)
  printf '%s\n' "$said" | tail -n 1
  case $said in "HTTP/1.0 200"*) ;; *) return 1 ;; esac
}

shared() { # prints what all members share, "" where etcd does not have it
  etcdctl --command-timeout=3s get --print-value-only "${space:?}/${scope:?}/config" 2>/dev/null
}

share() { # FILE: what all members share
  etcdctl --command-timeout=5s put "$space/$scope/config" <"$1" >/dev/null
}

number_of_all() { # prints the number of the members' cluster; nothing where there is none yet
  etcdctl --command-timeout=5s get --print-value-only "$space/$scope/initialize"
}

number_of_own() {
  "${programs:?}/pg_controldata" "$(data)" | sed -n 's/^Database system identifier: *//p'
}

# Patroni finds the cluster's own files, and what is not its: it becomes the first primary with these,
# or, without a directory of data, takes a copy of the primary's. Who has a database comes first.
take_over() {
  number=$(number_of_all) || { echo "etcd on the storage servers does not answer"; return 1; }
  if [ -n "$number" ] && has_data && [ "$(number_of_own)" != "$number" ] && ! is_empty; then
    echo "it has another database than the others, in $(data): move that away to have theirs"
    return 1
  fi
  systemctl -q disable --now "postgresql@${version:?}-main" || return
  echo manual >"${settings:?}/start.conf"
  data=$(data)
  # Machines of one image have a cluster of the same number from there.
  if [ -n "$number" ] && has_data && is_empty; then
    find "$data" -mindepth 1 -delete || return
  fi
  : >"$taken"
}

role() { # prints primary or standby, if PostgreSQL answers
  case $(echo 'SELECT pg_is_in_recovery();' | ask 2>/dev/null) in
  f) echo primary ;;
  t) echo standby ;;
  *) return 1 ;;
  esac
}

in_place() { # it is the primary, or follows it
  case $(role) in
  primary) ;;
  standby) [ "$(echo "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming';" | ask)" = 1 ] ;;
  *) return 1 ;;
  esac
}

settled() { # CONNECTIONS: it runs with what it is to run with; more of them do no harm
  [ "$(echo "SELECT current_setting('max_connections')::int >= $1
    AND NOT EXISTS (SELECT FROM pg_settings WHERE pending_restart AND name <> 'max_connections');" | ask)" = t ]
}

knows() { # CONNECTIONS: Patroni has read that PostgreSQL must start again, where it is for these
  [ "$(echo "SELECT current_setting('max_connections')::int >= $1;" | ask)" = t ] ||
    patroni GET /patroni | grep -q '"pending_restart": *true'
}

read_again() { # CONNECTIONS SECONDS: until PostgreSQL and Patroni know what is in the files, and in etcd
  at=$(echo 'SELECT pg_conf_load_time();' | ask) && echo 'SELECT pg_reload_conf();' | ask >/dev/null || return
  await 10 'PostgreSQL to read its files' "${functions:?}
    [ \"\$(echo 'SELECT pg_conf_load_time();' | ask)\" != '$at' ]" || return
  await "$2" 'Patroni to know of it' "$functions
    knows $1"
}

settle() { # CONNECTIONS SECONDS: restarts PostgreSQL where that is needed
  ! settled "$1" || return 0
  patroni POST /restart '{}' || return
  await "$2" 'PostgreSQL to be back' "${functions:?}
    settled $1"
}

synchronous() { # prints the standby that has all that was acknowledged, as Patroni has noted it
  etcdctl --command-timeout=3s get --print-value-only "${space:?}/${scope:?}/sync" |
    sed -n 's/.*"sync_standby": *"\([^"]*\)".*/\1/p'
}

in_step() { # SECONDS: prints that standby, once there is one
  await "$1" 'a standby to have all that was acknowledged' "${functions:?}
    [ -n \"\$(synchronous)\" ]" && synchronous
}

switch_to() { # MEMBER: that becomes the primary, and this one follows it
  patroni POST /switchover "{\"leader\": \"${member:?}\", \"candidate\": \"$1\"}"
}

copy_anew() { # from the primary, in place of what is there
  said=$(patronictl -c "${configuration:?}" reinit --force --wait "${scope:?}" "${member:?}" 2>&1) ||
    { echo "$said"; return 1; }
  await 60 'it to follow the primary' "$functions
    in_place"
}

give_back() { # to Debian's unit, which runs the cluster alone from now on
  [ "$(role)" = primary ] || { echo "it is not the primary: 'invoke database.switchover' first"; return 1; }
  systemctl -q disable --now "${unit:?}"
  ! locate || systemctl kill -s TERM "$unit"
  rm -f "${configuration:?}" "$(data)/patroni.dynamic.json"
  # Patroni has put its own before it, which names Debian's.
  if [ -e "${settings:?}/postgresql.base.conf" ]; then
    mv -f "$settings/postgresql.base.conf" "$settings/postgresql.conf" || return
  fi
  echo auto >"$settings/start.conf"
  rm -f "${taken:?}"
}
