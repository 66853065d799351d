# shellcheck shell=sh
# Shell functions for probes, which find in what a survey printed the part that is theirs.

line_of() { # LINES END: prints the line that ends so, without that end; sets $found to it, or ''
  found=
  while IFS= read -r line; do
    case $line in *"$2") found=${line%"$2"} && printf '%s\n' "$found" ;; esac
  done <<EOF
$1
EOF
}

has_line() { # LINES LINE: tells whether it is one of them
  case "
$1
" in *"
$2
"*) ;; *) return 1 ;; esac
}

block_of() { # BLOCKS LINE: prints the block that holds this line, between empty ones; sets $block
  block=
  while IFS= read -r line; do
    if [ -n "$line" ]; then
      block="$block$line
"
      continue
    fi
    case $block in *"$2
"*) break ;; esac
    block=
  done <<EOF
$1

EOF
  printf '%s' "$block"
}

listeners() { # SOCKETS PORT [PATH]: number, unit ("-": none) and name of who listens there, of ss(8)
  seen=' '
  while IFS= read -r line; do
    # ss shows a path as it was given, such as /var/run/... for /run/...
    case $line in *":$2 "* | *"${3:-:$2} "*) ;; *) continue ;; esac
    # users:(("haproxy",pid=83,fd=6),("haproxy",pid=85,fd=6))
    while :; do
      case $line in *pid=*) line=${line#*pid=} ;; *) break ;; esac
      pid=${line%%[!0-9]*}
      case $seen in *" $pid "*) continue ;; esac
      seen="$seen$pid "
      unit='' name=''
      # systemd(1): the last part of the control group's path is the unit.
      while IFS=: read -r number kind path; do
        case "$number:$kind" in 0: | *:name=systemd) unit=${unit:-${path##*/}} ;; esac
      done <"/proc/$pid/cgroup"
      # One that has ended by now listens no more.
      read -r name 2>/dev/null <"/proc/$pid/comm" || continue
      echo "$pid ${unit:--} $name"
    done
  done <<EOF
$1
EOF
}
