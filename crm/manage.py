#!/usr/bin/env python3
"""Administrative commands: ``manage.py migrate``, ``seed``, ``checks-account`` and others.

All read DATABASE_URL from the environment; ``seed`` also reads ADMIN_LOGIN and ADMIN_PASSWORD,
``checks-account`` CHECKS_LOGIN and CHECKS_PASSWORD, ``sweep`` and ``missing`` all that the server
does.
The exit status is 0 on success, 1 on a failure (one sentence on standard error), 2 on misuse.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

from application import migrations, photos, seeding, settings, sweeping
from application.database import Database, DatabaseUnavailable, TablesMissing
from application.photos import Uploads, UploadsUnavailable


def migrate(environ: Mapping[str, str]) -> str:
    """Apply the missing migrations and return a sentence on what was done."""
    applied = migrations.migrate(settings.database_url(environ))
    return f"Applied {', '.join(applied)}." if applied else "The schema is up to date."


def seed(environ: Mapping[str, str]) -> str:
    """Create the first administrator and samples; return a sentence on what was done."""
    with closing(Database(settings.database_url(environ))) as database:
        login = seeding.seed(database, environ)
    if login is None:
        return "There is an administrator already; nothing was changed."
    return f"Created the administrator {login} and {len(seeding.SAMPLES)} sample customers."


def make_checks_account(environ: Mapping[str, str]) -> str:
    """Make the account of the checks; return a sentence on what was done."""
    with closing(Database(settings.database_url(environ))) as database:
        seeding.make_checks_account(database, environ)
    return "The account of the checks is there."


def sweep(environ: Mapping[str, str]) -> str:
    """Remove old files that no customer refers to; return a sentence on what was done."""
    loaded = settings.load(environ)
    with closing(Database(loaded.database_url)) as database:
        removed = sweeping.sweep(database, Uploads(loaded.uploads))
    return f"Files without a customer that were removed: {removed}."


def missing(environ: Mapping[str, str]) -> str:
    """Return the customers whose photo has no file, a line each; nothing when there is none."""
    loaded = settings.load(environ)
    with closing(Database(loaded.database_url)) as database:
        found = photos.missing(database, Uploads(loaded.uploads))
    return "\n".join(f"customer {number} ({name}): {photo}" for number, name, photo in found)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command and return the exit status."""
    commands = {
        "migrate": migrate,
        "seed": seed,
        "checks-account": make_checks_account,
        "sweep": sweep,
        "missing": missing,
    }
    parser = argparse.ArgumentParser(prog="manage.py", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=commands)
    chosen = parser.parse_args(arguments).command
    try:
        if said := commands[chosen](environ):
            print(said)
    except (settings.SettingsError, migrations.MigrationError) as error:
        print(f"manage.py {chosen}: {error}", file=sys.stderr)
        return 1
    except DatabaseUnavailable as error:
        print(f"manage.py {chosen}: The database is unavailable: {error}", file=sys.stderr)
        return 1
    except UploadsUnavailable as error:
        print(f"manage.py {chosen}: The uploads are unavailable: {error}", file=sys.stderr)
        return 1
    except TablesMissing:
        print(f"manage.py {chosen}: The tables are missing; run migrate first.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
