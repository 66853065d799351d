"""A private, throw-away PostgreSQL cluster on a unix socket."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg2

# Nothing in it has to survive a crash of the machine.
OPTIONS = (
    "-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    " -c shared_buffers=16MB -c max_connections=40 -c autovacuum=off"
)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    if elsewhere:
        return Path(elsewhere).resolve().parent
    raise RuntimeError("PostgreSQL's initdb is missing; please install the package postgresql.")


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom to run as: initdb refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


class Cluster:
    """One PostgreSQL server with its data in a temporary directory."""

    def __init__(self) -> None:
        """Create the cluster and start it."""
        self._binaries = _binaries()
        self._user = _unprivileged()
        self.directory = Path(tempfile.mkdtemp(prefix="crm-pg-"))
        if self._user:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "--no-sync", "--auth=trust", "--username=crm", "--encoding=UTF8",
            "--locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        self.start()
        # Of a superuser, no row is hidden.
        self.execute("CREATE ROLE app LOGIN")

    def _run(self, program: str, *arguments: str) -> None:
        identity = {}
        if self._user:
            identity = {
                "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [],
            }  # fmt: skip
        subprocess.run(
            [self._binaries / program, "--pgdata", self.directory / "data", *arguments],
            check=True,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            **identity,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.directory} {OPTIONS}"
        log = str(self.directory / "log")
        self._run("pg_ctl", "start", "--wait", "--log", log, "--options", options)

    def stop(self) -> None:
        """Stop the server; pg_ctl finds it by the process id in its data directory."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "fast")

    def remove(self) -> None:
        """Stop the server and delete its data."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory)

    def url(self, database: str) -> str:
        """Return the address of a database, for the application."""
        return self._url("app", database)

    def create(self, database: str) -> str:
        """Make a database for the application, and return its address."""
        self.execute(f"CREATE DATABASE {database} OWNER app")
        return self.url(database)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}@/{database}?host={self.directory}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple]:
        """Run one statement outside a transaction, as superuser, and return its rows."""
        connection = psycopg2.connect(self._url("crm", database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()
