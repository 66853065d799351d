# shellcheck shell=sh
# Shell functions for app servers, put before the scripts of servers.py.

environments=/etc/crm-deployer
units=/etc/systemd/system
# What a server ran before a change, until the next one.
previous=/var/lib/crm-deployer/previous

holdings() { # HOME: prints the releases of an application: `current`, `keeps` and `served` lines
  cd "$1" || return 0
  echo "current $(basename "$(readlink current)")"
  # shellcheck disable=SC2012 # releases are named by us
  ls releases | sed '/\.new$/d; s/^/keeps /'
  [ ! -e history ] || sed 's/^/served /' history
}

keep() { # NAME DIRECTORY: the files of an application are in it, whole, or it fails: they replace others
  # One that somebody has removed is not there to be kept.
  rm -rf "$2" && mkdir -p "$2/processes" &&
    { [ ! -e "$units/$1.service" ] || cp -a "$units/$1.service" "$2/unit"; } &&
    find "$units" -maxdepth 1 -name "$1@*.service" -exec cp -a -t "$2/processes" {} + &&
    { [ ! -e "$environments/$1.env" ] || cp -a "$environments/$1.env" "$2/env"; }
}

keep_previous() { # NAME: prints application and release that serve here, and keeps their files
  # Who serves is told by the process: its file of variables may have been removed.
  for name in "$1" $(find "$environments" -name '*.env' 2>/dev/null | sed 's:.*/::; s/\.env$//'); do
    main=$(systemctl show -P MainPID "$name.service") || continue
    [ "$main" -gt 0 ] || continue
    serves=$(readlink "/proc/$main/cwd") || continue
    umask 077
    keep "$name" "$previous.new" && rm -rf "$previous" && mv "$previous.new" "$previous" || return
    echo "$name $(basename "$serves")"
    return
  done
}

replace() { # FILE OTHER: the file is in the place of the other one, whole
  cp -a "$1" "$2.new" && mv -fT "$2.new" "$2"
}

put_back() { # NAME OTHER: what keep_previous kept is in its place again, and OTHER runs no more
  # Those that are of no earlier release, too; the others start with the web process.
  systemctl stop "$1@*.service"
  rm -f "$units/$1@"*.service
  find "$previous/processes" -name '*.service' -exec cp -a -t "$units" {} +
  [ ! -e "$previous/unit" ] || replace "$previous/unit" "$units/$1.service"
  [ ! -e "$previous/env" ] || replace "$previous/env" "$environments/$1.env"
  if [ "$1" != "$2" ]; then
    systemctl disable --now "$2.service"
    systemctl enable "$1.service"
  fi
}

retire() { # UNIT...: nothing of the application runs here any more
  systemctl disable --now "$@"
  # Of all applications that ever ran here.
  rm -rf "$environments"/*.env "$previous"
}
