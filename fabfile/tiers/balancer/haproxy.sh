# shellcheck shell=sh
# HAProxy's runtime API as shell functions, put before the scripts of haproxy.py.
# Each one that fails says why in a sentence. HAProxy 2.6, management guide, section 9.

api() { echo "$1" | socat -t 5 stdio /run/haproxy/admin.sock; }

tell() { # COMMAND ANSWER: HAProxy must answer so
  said=$(api "$1")
  [ "$said" = "$2" ] || { echo "HAProxy answers '$1' with: $said"; return 1; }
}

# The backend `app` has all servers. Where it asks for several pages, `app-alive` has them, too, and
# asks for the first: it serves as long as no server is up in `app`. See haproxy.cfg.

# Of each server in each of them: backend, server, sessions, status (`show stat`, section 9.1).
rows() {
  api 'show stat' | awk -F, '$1 ~ /^app(-alive)?$/ { print $1, $2, $5, $18 }'
}

places() { # SERVER: the backends that have it, or `app`, which should
  rows | awk -v s="$1" '$2 == s { print $1; n++ } END { if (!n) print "app" }'
}

busy() { # SERVER: its sessions
  rows | awk -v s="$1" '$2 == s { sum += $3; n++ } END { if (n) print sum }'
}

# Of each server: name, status as far as it decides whether it serves, and for a person what else
# there is to know, behind a tab each.
judged() {
  rows | awk '
    $2 == "BACKEND" { next }
    { status = $4 ($5 == "" ? "" : " " $5); sum[$2] += $3 }
    $1 == "app-alive" { alive[$2] = status; next }
    { names[++n] = $2; of[$2] = status; if (status ~ /^UP/) up = 1 }
    END {
      for (i = 1; i <= n; i++) {
        name = names[i]
        status = !up && (name in alive) ? alive[name] : of[name]
        more = ""
        if (of[name] ~ /^DOWN/ && alive[name] ~ /^UP/)
          more = up ? " (of its pages, the first answers)" : " (by its first page: no server answers all)"
        print name "\t" status "\t" more ", " sum[name] (sum[name] == 1 ? " session" : " sessions")
      }
    }'
}

statuses() { judged | awk -F'\t' '{ print $1, $2 }'; }

shown() { judged | awk -F'\t' '{ print $1 ": " $2 $3 }'; }

status() { # SERVER
  judged | awk -F'\t' -v s="$1" '$1 == s { print $2 }'
}

# Backend, name, address:port and administrative state of each server.
states() {
  api 'show servers state' | awk '$2 ~ /^app(-alive)?$/ { print $2, $4, $5 ":" $19, $7 }'
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
    # A page has itself as the comment of its check.
    function page(  last) {
      last = field("last_chk")
      return sub(/.*comment: /, "", last) ? " at " last : ""
    }
    BEGIN { count = split(wanted, names, " ") }
    sub(/^# /, "") { for (n = 1; n <= NF; n++) at[$n] = n }
    $1 == "app" {
      if ($18 !~ /^UP/) said[$2] = $18 ", " field("check_desc") " " field("check_code") page()
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

there() { [ -n "$(status "$1")" ]; }

alone() { # SERVER: no other one is up; without it, those are asked that answer the first page
  ! rows | awk -v s="$1" '$2 != s && $2 != "BACKEND" { print $4 }' | grep -q UP
}

set_state() { # SERVER STATE
  for place in $(places "$1"); do
    tell "set server $place/$1 state $2" '' || return 1
  done
}

drain() { # SERVER SECONDS: no more requests for it, and those that run end; 5 when some are left
  set_state "$1" drain || return 1
  poll "$2" "the requests of $1 to end" 0 "busy $1" || return 5
}

maintain() { # SERVER SECONDS: as drain, but what does not end in time is cut off; no checks either
  drain "$1" "$2" || for place in $(places "$1"); do
    api "shutdown sessions server $place/$1"
  done
  set_state "$1" maint
}

ready() { # SERVER SECONDS
  set_state "$1" ready || return 1
  poll "$2" "$1 to be up in HAProxy" UP "status $1"
}

add() { # SERVER ADDRESS OPTIONS: in maintenance, until it is made ready
  for place in $(rows | awk '$2 == "BACKEND" { print $1 }'); do
    tell "add server $place/$1 $2 $3" 'New server registered.' || return 1
    tell "enable health $place/$1" '' || return 1
  done
}

remove() { # SERVER SECONDS
  maintain "$1" "$2" || return 1
  for place in $(places "$1"); do
    poll 10 "HAProxy to let go of $1" 'Server deleted.' "api 'del server $place/$1'" || return 1
  done
}
