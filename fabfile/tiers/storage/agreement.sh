# shellcheck shell=sh
# Shell functions for a member of etcd, behind lines that tell etcdctl where the others are.

member() { # NAME: prints its number
  etcdctl --command-timeout=3s member list 2>/dev/null | awk -F', ' -v "name=$1" '$3 == name { print $1 }'
}

knows() { # NAME: the others know a member of that name
  [ -n "$(member "$1")" ]
}

join_again() { # NAME ADDRESS PORT FILE: as a new member, in the place of the one whose disk is gone
  etcdctl member remove "$(member "$1")" >/dev/null && etcdctl member add "$1" \
    --peer-urls="https://$2:$3" >/dev/null || return
  mkdir -p "$(dirname "$4")" && echo ETCD_INITIAL_CLUSTER_STATE=existing >"$4"
  systemctl restart etcd
}
