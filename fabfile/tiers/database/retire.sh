# shellcheck shell=sh
# Takes PostgreSQL's part in the scenario off a machine, and leaves its data, and the pooler before it;
# put into retire.sh of the operations.

retire_pooler() {
  ours /etc/pgbouncer/pgbouncer.ini || return 0
  systemctl -q disable --now pgbouncer
  rm -f /etc/pgbouncer/pgbouncer.ini /etc/pgbouncer/hba.conf /etc/pgbouncer/userlist.txt
  echo "stays: pgbouncer, stopped and without its pgbouncer.ini: 'apt-get purge pgbouncer' removes it, 'apt-get install --reinstall -o Dpkg::Options::=--force-confmiss pgbouncer' brings Debian's file"
}

retire_member() { # of a pair: Patroni stops PostgreSQL, and the way to the primary goes
  [ -e /etc/patroni/taken-over ] || return 0
  for settings in /etc/patroni/*-main.yml; do
    version=$(basename "${settings%-main.yml}")
    systemctl -q disable --now "patroni@$version-main" primary.service
    rm -f "$settings" "/etc/systemd/system/patroni@$version-main.service.d/crm.conf"
  done
  rm -f /etc/patroni/taken-over /etc/haproxy/primary.cfg /etc/systemd/system/primary.service \
    /etc/sysctl.d/60-crm-database.conf /usr/local/lib/crm-deployer/database-works
  echo "stays: patroni, stopped and without its settings: 'apt-get purge patroni etcd-client' removes it"
}

retire_database() {
  stop_sharing
  retire_pooler
  retire_member
  rm -rf /var/lib/postgresql/scratch /var/lib/postgresql/log-given-up /var/lib/backup-check
  for settings in /etc/postgresql/*/main/conf.d/crm.conf; do
    [ -e "$settings" ] || continue
    cluster=${settings%/conf.d/crm.conf}
    version=$(basename "${cluster%/main}")
    systemctl -q disable --now "postgresql@$version-main"
    # See pg_createcluster(1): Debian starts a cluster at boot, whatever systemd was told of its unit.
    sed -i 's/^auto$/manual/' "$cluster/start.conf"
    # Who is logged in on the machine gets in as before, and nobody from the network.
    ! ours "$cluster/pg_hba.conf" || sed -i '/^#/d; /^host/d; /scram-sha-256$/d' "$cluster/pg_hba.conf"
    data=$(pg_lsclusters -h | awk -v v="$version" '$1 == v && $2 == "main" { print $6 }')
    rm -f "$settings"
    echo "stays: the databases in $data, stopped: 'pg_dropcluster $version main' removes them"
  done
}
