#!/usr/bin/env python3
"""The scenario: what there is, where it is, and what runs on it. The one file to edit.

`python3 config.py` prepares this computer, starts the lab, deploys and verifies; `python3 config.py
pfinal.xml` does so for the scenario of a file of VNX.
`fabfile/scenario/` checks every entry below and says what is wrong with each.
"""

import os

# The state of this scenario on this computer (keys, passwords) is kept in .state/NAME.
NAME = "pfinal"

# Every network of the scenario. "management" is where Fabric logs in and packages come through.
# One named "public", "0.0.0.0/0", would be the Internet, for machines that are reached there.
NETWORKS = {
    "lan1": "10.1.1.0/24",  # the Internet side: the users, and this computer
    "lan2": "10.1.2.0/24",  # between the firewall and the load balancer
    "lan3": "10.1.3.0/24",  # between the load balancer and the app servers
    "lan4": "10.1.4.0/24",  # app servers, database and storage
    "management": "10.250.0.0/24",
}

# A machine has a tier and one address on each network it is attached to. Also possible:
#   "tiers": ["storage", "database"]   several, in place of "tier"
#   "release": "bookworm"   of Debian, that the lab starts it with; default: trixie
#   "ssh": "user@host:port"   where Fabric logs in; default: LOGIN at the management address.
#       IPv6: "user@[fd00::1]:22". What is not said is as ~/.ssh/config has it.
#   "key": "~/.ssh/id_ed25519"
#   "interfaces": {"lan1": "eth0"}   what the lab calls them; default: the network's name
#   "open": [443, "51820/udp"]   ports of other things, where no machine is the firewall
#   "routes": {"10.1.0.0/16": "10.1.1.1"}   network -> gateway; the lab sets them
# Two firewalls, balancers or databases share what FLOATING names: see examples/pairs.py.
MACHINES = {
    "control": {
        "tier": "control",
        "lan1": "10.1.1.2",
        "management": "10.250.0.1",
        "routes": {"10.1.0.0/16": "10.1.1.1"},
    },
    "c1": {
        "tier": "client",
        "lan1": "10.1.1.11",
        "management": "10.250.0.111",
        "routes": {"10.1.0.0/16": "10.1.1.1"},
    },
    "c2": {
        "tier": "client",
        "lan1": "10.1.1.12",
        "management": "10.250.0.112",
        "routes": {"10.1.0.0/16": "10.1.1.1"},
    },
    "fw": {
        "tier": "firewall",
        "lan1": "10.1.1.1",
        "lan2": "10.1.2.1",
        "management": "10.250.0.2",
    },
    "lb": {
        "tier": "balancer",
        "lan2": "10.1.2.2",
        "lan3": "10.1.3.1",
        "management": "10.250.0.3",
        "routes": {"10.1.1.0/24": "10.1.2.1"},
    },
    "s1": {"tier": "app", "lan3": "10.1.3.11", "lan4": "10.1.4.11", "management": "10.250.0.11"},
    "s2": {"tier": "app", "lan3": "10.1.3.12", "lan4": "10.1.4.12", "management": "10.250.0.12"},
    "s3": {"tier": "app", "lan3": "10.1.3.13", "lan4": "10.1.4.13", "management": "10.250.0.13"},
    "bbdd": {"tier": "database", "lan4": "10.1.4.31", "management": "10.250.0.31"},
    "nas1": {"tier": "storage", "lan4": "10.1.4.21", "management": "10.250.0.21"},
    "nas2": {"tier": "storage", "lan4": "10.1.4.22", "management": "10.250.0.22"},
    "nas3": {"tier": "storage", "lan4": "10.1.4.23", "management": "10.250.0.23"},
}

# How Fabric logs in where a machine says nothing else: an unprivileged user with `sudo -n`.
# key and known_hosts may be left out: then ~/.ssh is used, as ssh does.
LOGIN = {
    "user": "deploy",
    "port": 22,
    "key": ".state/pfinal/id_ed25519",
    "known_hosts": ".state/pfinal/known_hosts",
}

# The application that runs: a name of APPLICATIONS. CRM_APP=crm-2017 before a command names another
# one for that command only, and the next `fab deploy` without it switches back: to stay with one,
# change it here.
APPLICATION = os.environ.get("CRM_APP", "crm")

# Twelve-factor web applications. One gets DATABASE_URL (and PGHOST, PGPORT, PGUSER, PGPASSWORD,
# PGDATABASE), SECRET_KEY, UPLOADS and PORT in its environment; its commands are shell lines, run in
# the directory of its release. Also possible: processes beside the web process, "on" each server or
# on "one", as "processes": {"mails": {"start": "python3 mails.py", "on": "one"}}. See
# docs/applications.md.
APPLICATIONS = {
    "crm": {
        "source": "crm",  # a directory
        "exclude": ["tests", "__pycache__", ".pytest_cache"],
        "packages": ["python3-flask", "python3-pil", "python3-psycopg2", "gunicorn"],  # of Debian
        "build": "python3 -m compileall -q .",
        "migrate": "python3 manage.py migrate",
        "seed": "python3 manage.py seed",  # once ever
        "checks": "python3 manage.py checks-account",  # makes the account that verify uses
        "missing": "python3 manage.py missing",  # prints uploads that are gone; see backup.missing
        "start": "gunicorn --bind 0.0.0.0:${PORT} --workers 2 --threads 4 wsgi:app",
        # A page that answers 200 when a server works, or several: who fails gets no users; when
        # all do, those go on that answer the first.
        "health": ["/alive", "/health"],
        # More variables for it; no secrets, but "${PGPASSWORD}" and the like are filled in. By this
        # one, its eight threads give the memory of each photo back at once, and do not keep it for
        # the next.
        "environment": {"MALLOC_MMAP_THRESHOLD_": "131072"},
        "connections": 10,  # to the database, from one server: 2 workers of 4 threads, and spare
        # PgBouncer gives a connection to the next one when the application lets go of it; with
        # "transaction" behind each transaction, so that many servers need few: docs/applications.md
        "pool": "session",
        "memory": 400,  # MiB, at most
        "uid": 900,  # of its system user: the same on all servers, for files on the shared volume
    },
    # The CRM that this scenario was written for, as it is: what it needs on today's Node and
    # PostgreSQL is given beside its own files. See README.md.
    "crm-2017": {
        # A git URL, or for a computer that cannot reach it a local clone, a git bundle or a
        # tarball; a directory without "ref" is taken as it is.
        "source": os.environ.get("CRM_2017_SOURCE", "https://github.com/CORE-UPM/CRM_2017"),
        "ref": "74e5edbf05d386458f4b94def0a93bd221d07b22",  # the commit; another: deploy --ref
        "exclude": [".idea"],
        "packages": ["nodejs"],
        "build_packages": ["npm"],  # on the one machine that builds only
        # sqlite3 does not compile and is not used; pg and sequelize-cli of their day do not work
        # with this Node, so newer ones are named. package.json stays as it is.
        "build": "npm install --no-save --no-package-lock --ignore-scripts --no-audit "
        "--no-fund --no-update-notifier pg@8 sequelize-cli@6",
        # Files of ours that are put into the release.
        "files": {
            "deployer/preload.js": "applications/crm-2017/preload.js",
            "deployer/accounts.js": "applications/crm-2017/accounts.js",
            "deployer/database.json": "applications/crm-2017/database.json",
        },
        "migrate": "node_modules/.bin/sequelize db:migrate --config deployer/database.json",
        "seed": "node_modules/.bin/sequelize db:seed:all --config deployer/database.json",
        # Right after the seed: its accounts are public. Gets ADMIN_PASSWORD and API_TOKEN.
        "secure": "node deployer/accounts.js",
        "administrator": "admin2",
        "start": "node bin/www",
        "health": "/favicon.ico",  # all else makes a row in the table of sessions
        "uploads": "public/uploads",  # in the release, where the shared volume is seen
        "temporary": ["uploads"],  # in the release, where it writes what need not last
        "environment": {
            "NODE_ENV": "production",
            "NODE_OPTIONS": "--require ./deployer/preload.js --max-old-space-size=160",
        },
        "log": "errors",  # and not what it prints, each statement of SQL; default: "all"
        "connections": 6,
        "memory": 300,
        "uid": 901,
    },
}

PORTS = {
    "http": 80,  # where the load balancer answers the users
    "app": 3000,
    "volume": 3001,  # where an app server tells the balancer whether the volume answers there
    "statistics": 8404,  # HAProxy's page and metrics, on the management address only
    "pool": 6432,  # PgBouncer, where the application finds its database
    "database": 5432,  # PostgreSQL itself, for migrations
    "backups": 8432,  # where storage servers take what is to be kept
    "database_backups": 8433,  # where they ask the database server for it
}

# How many copies of an uploaded file the storage servers keep.
STORAGE = {"replicas": 3, "brick": "/nas/brick"}

# Where copies of the backups go, encrypted as they are, for the day when all machines are lost:
#   {"sftp": "crm@host:22", "path": "crm", "key": "~/.ssh/crm_backups"}   a key without a
#       passphrase; the host's keys are those of ~/.ssh/known_hosts, or of "known_hosts"
#   {"s3": "https://s3.example.org", "bucket": "crm", "path": "pfinal", "region": "eu-central-1"}
#       its keys come from CRM_S3_ACCESS_KEY and CRM_S3_SECRET_KEY of the environment, once
SECOND_PLACE = None

# The lab: the machines above as LXC containers on this computer.
LAB = {
    "directory": "/var/lib/crm-lab",
    "bridge_prefix": "crm-",  # bridges crm-lan1, crm-lan2, ...
    "disk_mb": 4000,  # least free space before it starts
    "memory_mb": 2500,  # least available memory before it starts
}

if __name__ == "__main__":
    import pathlib
    import subprocess
    import sys

    command = pathlib.Path(__file__).resolve().parent / "bin" / "everything"
    if not command.is_file():
        sys.exit(
            f"config.py does nothing without the project around it, and {command} is not there: "
            "run the one that you have cloned, as 'python3 CLONE/config.py pfinal.xml'."
        )
    sys.exit(subprocess.call([command, *sys.argv[1:]]))
