# shellcheck shell=sh
# apt-get and dpkg beside others who use them, as on the first boot of a rented machine. Put before
# the scripts of fabfile/engine/resources/packages.py, and read by bin/prepare.
# DPkg::Lock::Timeout (apt.conf) covers neither /var/lib/apt/lists/lock nor dpkg itself.

export DEBIAN_FRONTEND=noninteractive

locked() { # FILE: what a program said is that another one has the lock it needs
  grep -qE 'Could not get lock|Unable to lock|lock (is|was) locked|is locked by another process' "$1"
}

patiently() { # SECONDS COMMAND...: run it, again for as long as another program has its lock
  limit=$1 deadline=$(($(date +%s) + $1)) said=$(mktemp)
  shift
  until LC_ALL=C.UTF-8 "$@" >"$said" 2>&1; do
    code=$?
    if ! locked "$said" || [ "$(date +%s)" -ge "$deadline" ]; then
      ! locked "$said" || echo "waited $limit s for another program to free this lock:"
      cat "$said"
      rm -f "$said"
      return "$code"
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

update_lists() { # SECONDS
  patiently "$1" apt-get -qq update -o Acquire::Retries=3
}

install_packages() { # SECONDS PACKAGE...
  patience=$1
  shift
  patiently "$patience" apt-get -qq install -y --no-install-recommends -o Acquire::Retries=3 \
    -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef "$@"
}
