"""The role of an application in PostgreSQL: what is right of it, and what is wrong."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from fabfile.engine.change import Change
from fabfile.engine.resources import Run

# What a line of the survey that says why a role is wrong ends with.
MARK = "|role"
# A role that was just made has no date at all.
RIGHT = (
    "rolcanlogin AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication) "
    "AND COALESCE(rolvaliduntil, 'infinity') = 'infinity' AND rolconnlimit = -1"
)
OPTIONS = (
    "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION VALID UNTIL 'infinity' "
    "CONNECTION LIMIT -1"
)


def is_right(role: str, verifier: str) -> str:
    """Return the query that finds a row when the role is as it should be."""
    return (
        f"SELECT FROM pg_authid WHERE rolname = '{role}' AND rolpassword = '{verifier}' AND {RIGHT}"
    )


def told(role: str, verifier: str) -> str:
    """Return the statement that prints `role` of one that is right, and else what is wrong."""
    return f"""
SELECT CASE WHEN rolpassword = '{verifier}' AND {RIGHT} THEN 'role' ELSE concat_ws(', ',
    CASE WHEN NOT rolcanlogin THEN 'it must not log in' END,
    CASE WHEN rolpassword IS DISTINCT FROM '{verifier}' THEN 'its password is another one' END,
    CASE WHEN rolvaliduntil < 'infinity'
        THEN 'its password is valid until ' || rolvaliduntil::timestamptz(0) END,
    CASE WHEN rolconnlimit <> -1
        THEN 'it may have ' || rolconnlimit || ' connections at once' END,
    CASE WHEN rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication
        THEN 'it has rights of an administrator' END
) || '{MARK}' END FROM pg_authid WHERE rolname = '{role}';
"""


def set_up(role: str, verifier: str) -> str:
    """Return the statements that make the role, or make it right."""
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') "
        f'THEN CREATE ROLE "{role}"; END IF; END $$;\n'
        f"ALTER ROLE \"{role}\" {OPTIONS} PASSWORD '{verifier}';"
    )


@dataclass(frozen=True)
class Role(Run):
    """The role of the application; its change says what is wrong of it."""

    def probe(self) -> str:
        """Print what any other command does, and `wrong` with what is wrong."""
        wrong = (
            f"""line_of "$inventory" '{MARK}' >/dev/null; [ -z "$found" ] || echo "wrong $found\""""
        )
        return f"{super().probe()}\n{wrong}"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Set it up unless it is right."""
        change = super().plan(facts, changed)
        causes = [line.partition(" ")[2] for line in facts.splitlines() if line[:6] == "wrong "]
        if not change or not causes:
            return change
        return replace(change, summary=f"{change.summary}: {causes[0]}")
