# shellcheck shell=sh
# Shell functions for probes, which find in what a survey printed the part that is theirs.

line_of() { # LINES END: prints the line that ends so, without that end
  while IFS= read -r line; do
    case $line in *"$2") printf '%s\n' "${line%"$2"}" ;; esac
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

block_of() { # BLOCKS LINE: prints the block that holds this line; an empty line ends a block
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
