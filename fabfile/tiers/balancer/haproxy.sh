# shellcheck shell=sh
# HAProxy's runtime API as shell functions, put before the scripts of haproxy.py.
# Each one that fails says why in a sentence. HAProxy 2.6, management guide, section 9.

api() { echo "$1" | socat -t 5 stdio /run/haproxy/admin.sock; }

tell() { # COMMAND ANSWER: HAProxy must answer so
  said=$(api "$1")
  [ "$said" = "$2" ] || { echo "HAProxy answers '$1' with: $said"; return 1; }
}

# Columns of `show stat`, section 9.1: 5 sessions, 18 status.
column() { # SERVER NUMBER
  api 'show stat' | awk -F, -v s="$1" -v c="$2" '$1 == "app" && $2 == s { print $c }'
}

statuses() {
  api 'show stat' | awk -F, '$1 == "app" && $2 != "BACKEND" { print $2, $18 }'
}

# Name, address:port and administrative state of each server.
states() {
  api 'show servers state app' | awk 'NR > 2 && NF { print $4, $5 ":" $19, $7 }'
}

poll() { # SECONDS WHAT VALUE COMMAND: until one of these functions prints the value
  # shellcheck disable=SC2154 # haproxy.py sets it
  await "$1" "$2" "$functions
now=\$($4); echo \"\$now\"; [ \"\$now\" = '$3' ]"
}

answers() { api 'show info' | grep -q Uptime; }

there() { [ -n "$(column "$1" 18)" ]; }

alone() { ! statuses | grep -v "^$1 " | grep -q ' UP'; } # SERVER: no other one is up

drain() { # SERVER SECONDS: no more requests for it, and those that run end; 5 when some are left
  tell "set server app/$1 state drain" '' || return 1
  poll "$2" "the requests of $1 to end" 0 "column $1 5" || return 5
}

maintain() { # SERVER SECONDS: as drain, but what does not end in time is cut off; no checks either
  drain "$1" "$2" || api "shutdown sessions server app/$1"
  tell "set server app/$1 state maint" ''
}

ready() { # SERVER SECONDS
  tell "set server app/$1 state ready" '' || return 1
  poll "$2" "$1 to be up in HAProxy" UP "column $1 18"
}

add() { # SERVER ADDRESS OPTIONS: in maintenance, until it is made ready
  tell "add server app/$1 $2 $3" 'New server registered.' || return 1
  tell "enable health app/$1" ''
}

remove() { # SERVER SECONDS
  maintain "$1" "$2" || return 1
  poll 10 "HAProxy to let go of $1" 'Server deleted.' "api 'del server app/$1'"
}
