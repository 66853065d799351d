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

# By the names of the columns, which `show stat` prints first. A server counts as up until its first
# check (INI).
unseen() { # SERVER...: prints of each that is not up what HAProxy's checks say of it
  api 'show stat' | awk -F, -v wanted="$*" '
    function field(name) { return name in at ? $at[name] : "" }
    BEGIN { count = split(wanted, names, " ") }
    sub(/^# /, "") { for (n = 1; n <= NF; n++) at[$n] = n }
    $1 == "app" {
      if ($18 !~ /^UP/) said[$2] = $18 ", " field("check_desc") " " field("check_code")
      else said[$2] = field("check_status") == "INI" ? "not checked so far" : "up"
      where[$2] = field("addr")
    }
    END {
      for (n = 1; n <= count; n++) {
        name = names[n]
        if (!(name in said)) print "HAProxy has no server " name
        else if (said[name] != "up") {
          gsub(/[ ,]+$/, "", said[name])
          print "HAProxy has " name " (" where[name] ") as " said[name]
        }
      }
    }'
}

seen() { # SECONDS SERVER...: until all of them are up; says which is not, and why
  limit=$1
  shift
  # shellcheck disable=SC2154 # haproxy.py sets it
  await "$limit" "the servers to be up" "$functions
left=\$(unseen $*); [ -z \"\$left\" ]" >/dev/null && return
  left=$(unseen "$@")
  [ -z "$left" ] || { echo "$left"; return 1; }
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
