# shellcheck shell=sh
# Takes PostgreSQL's part in the scenario off a machine, and leaves its data; put into retire.sh of
# the operations.

retire_database() {
  rm -rf /var/lib/postgresql/scratch /var/lib/postgresql/log-given-up /var/lib/backup-check
  for settings in /etc/postgresql/*/main/conf.d/crm.conf; do
    [ -e "$settings" ] || continue
    cluster=${settings%/conf.d/crm.conf}
    version=$(basename "${cluster%/main}")
    systemctl -q disable --now "postgresql@$version-main"
    # See pg_createcluster(1): Debian starts a cluster at boot, whatever systemd was told of its unit.
    sed -i 's/^auto$/manual/' "$cluster/start.conf"
    # Who is logged in on the machine gets in as before, and nobody from the network.
    ! ours "$cluster/pg_hba.conf" || sed -i '/^#/d; /^host/d' "$cluster/pg_hba.conf"
    data=$(pg_lsclusters -h | awk -v v="$version" '$1 == v && $2 == "main" { print $6 }')
    rm -f "$settings"
    echo "stays: the databases in $data, stopped: 'pg_dropcluster $version main' removes them"
  done
}
