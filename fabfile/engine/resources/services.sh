# shellcheck shell=sh
# Put before the scripts that start a unit.

journal() { # UNIT: its last lines, of each stack trace only the first and the last two
  # The reason stands at a trace's end, and a program that dies prints several of them: Python's
  # traces of what failed while it dealt with the first say no more than the lines they end with.
  journalctl -q -n 400 --no-pager -o cat -u "$1" | awk '
    function end_trace() {
      if (later) { depth = later = 0; return }
      if (depth > 3) print "    ..."
      if (depth > 2) print before
      if (depth > 1) print last
      depth = 0
    }
    /^$/ { next }
    /^(During handling of|The above exception was)/ { end_trace(); later = 1; next }
    later && /^Traceback/ { next }
    /^[ \t]/ { if (++depth == 1 && !later) print; else { before = last; last = $0 }; next }
    { end_trace(); print }
    END { end_trace() }' | tail -n 40
}
