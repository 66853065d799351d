# shellcheck shell=sh
# Shell functions for the pooler before the cluster, put behind state.sh and a line that sets pool, its
# port.

ask_pooler() { # [LIMIT]: what its console says to the commands on standard input, each with a line of names first
  # It lets in the user that it runs as, without a password.
  cd / && PGCONNECT_TIMEOUT=5 timeout "${1:-60}" runuser -u postgres -- "${programs:?}/psql" \
    -h /run/postgresql -p "${pool:?}" -U pgbouncer -d pgbouncer -qAX -P footer=off
}

pool_shown() { # NAME=ADDRESS...: how busy it is, and how many connections each of these has with it
  printf 'SHOW POOLS;\nSHOW CLIENTS;\n' | ask_pooler | LC_ALL=C awk -F'|' -v servers="$*" '
    $1 ~ /^(database|type)$/ && $2 == "user" { split("", at); for (n = 1; n <= NF; n++) at[$n] = n; next }
    $at["database"] == "pgbouncer" { next }
    "cl_active" in at {
      clients += $at["cl_active"] + $at["cl_waiting"]
      waiting += $at["cl_waiting"]
      held += $at["sv_active"] + $at["sv_idle"] + $at["sv_used"] + $at["sv_tested"] + $at["sv_login"]
      next
    }
    { count[$at["addr"]]++ }
    END {
      if (!NR) exit
      printf "pooler: %d clients, %d connections to PostgreSQL, %d waiting\n", clients, held, waiting
      total = split(servers, list, " ")
      for (n = 1; n <= total; n++) {
        split(list[n], pair, "=")
        s = count[pair[2]] == 1 ? "" : "s"
        printf "%s: %d connection%s\n", pair[1], count[pair[2]], s
      }
    }'
}

pause_pooler() { # IDLE SECONDS: holds what clients ask, once what they have begun has ended, for a while
  # Who has paused it may die.
  systemd-run --quiet --collect --unit=pooler-resume --on-active="$2" --timer-property=AccuracySec=100ms \
    runuser -u postgres -- "${programs:?}/psql" -h /run/postgresql -p "${pool:?}" -U pgbouncer \
    -d pgbouncer -qAXc RESUME 2>/dev/null || return
  # It answers when all are idle; one that keeps a session would be waited for.
  echo 'PAUSE;' | ask_pooler "$1" && return
  resume_pooler
  return 1
}

resume_pooler() { # what was held goes on; also where nothing was
  echo 'RESUME;' | ask_pooler 2>/dev/null || :
  systemctl -q stop pooler-resume.timer 2>/dev/null || :
}
