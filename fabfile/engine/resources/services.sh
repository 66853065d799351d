# shellcheck shell=sh
# Put before the scripts that start a unit.

journal() { # UNIT: its last lines, of each stack trace only the first and the last two
  # The reason stands at a trace's end, and a program that dies prints several of them.
  journalctl -q -n 400 --no-pager -o cat -u "$1" | awk '
    function end_trace() {
      if (depth > 3) print "    ..."
      if (depth > 2) print before
      if (depth > 1) print last
      depth = 0
    }
    /^[ \t]/ { if (++depth == 1) print; else { before = last; last = $0 }; next }
    { end_trace(); print }
    END { end_trace() }' | tail -n 40
}
