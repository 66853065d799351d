# shellcheck shell=sh
# apt-get and dpkg beside others who use them, as on the first boot of a rented machine. Put before
# the scripts of fabfile/engine/resources/packages.py, and read by bin/prepare.
# DPkg::Lock::Timeout (apt.conf) covers neither /var/lib/apt/lists/lock nor dpkg itself.

export DEBIAN_FRONTEND=noninteractive
# needrestart(1) would restart services of others, and ask which.
export NEEDRESTART_SUSPEND=1
# What changes a machine tells the person by a function of this name; who has none prints it.
command -v say >/dev/null || say() { echo "$*"; }

locked() { # FILE: what a program said is that another one has the lock it needs
  grep -qE 'Could not get lock|Unable to lock|lock (is|was) locked|is locked by another process' "$1"
}

holder() { # FILE: who has the lock, by what apt-get or dpkg said of it
  pid=$(sed -n -e 's/.*held by process \([0-9]*\).*/\1/p' -e 's/.*with pid \([0-9]*\).*/\1/p' "$1" |
    head -n 1)
  [ -n "$pid" ] || { echo "another program" && return; }
  echo "$(tr '\0\n' '  ' <"/proc/$pid/cmdline" | cut -d ' ' -f 1-2) (process $pid)"
} 2>/dev/null

held() { # FILE: prints a sentence when packages must change that somebody has held back
  ! grep -qE 'Held packages were changed|held broken packages' "$1" ||
    echo "'apt-mark unhold NAME' lets deploy change what is held here: $(apt-mark showhold | tr '\n' ' ')"
}

patiently() { # SECONDS COMMAND...: run it, again for as long as another program has its lock
  limit=$1 begun=$(date +%s) said=$(mktemp) told=
  deadline=$((begun + limit))
  shift
  until LC_ALL=C.UTF-8 "$@" >"$said" 2>&1; do
    code=$?
    if ! locked "$said" || [ "$(date +%s)" -ge "$deadline" ]; then
      ! locked "$said" || echo "waited $limit s for another program to free this lock:"
      cat "$said"
      held "$said"
      rm -f "$said"
      return "$code"
    fi
    if [ -z "$told" ] && [ $(($(date +%s) - begun)) -ge 5 ]; then
      told=yes
      say "wait for $(holder "$said") to let go of apt or dpkg"
    fi
    sleep 1
  done
  cat "$said"
  rm -f "$said"
}

# Configuration files that are there stay; see dpkg(1) and apt.conf(5).
finish_interrupted() { # SECONDS
  patiently "$1" dpkg --force-confold --force-confdef --configure -a
}

# Without that mode, apt-get ends well when a name does not resolve. Whoever has all packages of the
# lists that are there needs no new ones.
update_lists() { # SECONDS
  retries=3
  patiently "$1" apt-get -qq update -o Acquire::Retries="$retries" \
    -o APT::Update::Error-Mode=any && return
  say 'go on with the package lists that are there: they cannot be brought up to date'
  # What was waited for in vain is not waited for again at each package; see resolv.conf(5).
  retries=0
  export RES_OPTIONS='timeout:1 attempts:1'
}

install_packages() { # SECONDS PACKAGE...
  patience=$1
  shift
  patiently "$patience" apt-get -qq install -y --no-install-recommends \
    -o Acquire::Retries="${retries:-3}" -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef "$@"
}
