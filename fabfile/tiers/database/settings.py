"""That the running PostgreSQL holds what its file of ours says, and what else sets it if not.

Of several files the last one holds: conf.d in the order of names, then the rest of postgresql.conf,
then what ALTER SYSTEM has written. What that has set is taken back, since nobody sees it in
/etc; a line in a file that a person has written is named, and is theirs to remove.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from fabfile.engine.change import Change, Refused
from fabfile.engine.survey import Survey

# PostgreSQL manual, "Setting Parameters": what ALTER SYSTEM writes, in the data directory.
SYSTEM = "postgresql.auto.conf"
# What a line of the survey about settings ends with.
MARK = "|setting"
# By these, the app servers find it.
REACHED_BY = ("listen_addresses", "port")
LINE = re.compile(r"^(\w+) = (?:'(.*)'|(\S+))$", re.MULTILINE)


def wanted(content: str) -> dict[str, str]:
    """Return name -> value of what a file of ours sets."""
    found = LINE.findall(content)
    return {name: quoted.replace("''", "'") or plain for name, quoted, plain in found}


def query(path: str, values: Mapping[str, str]) -> str:
    """Return the statement that prints, as JSON, what sets or holds another value than our file.

    An entry of a file that is read after it, and a value that holds; not one that is only that of
    the session which asks. A value with a unit, or one of a few words, is written in several ways:
    then it is right where it comes from such a line, and that is not to be changed by a restart.
    """
    rows = ", ".join(f"('{name}', {_literal(value)})" for name, value in values.items())
    directory = path.rpartition("/")[0]
    return f"""
WITH wanted (name, value) AS (VALUES {rows}),
entry AS (
    SELECT lower(name) AS name, setting AS value, sourcefile AS file, sourceline AS line, seqno,
        error
    FROM pg_file_settings WHERE name IS NOT NULL
),
ours AS (SELECT max(seqno) AS seqno FROM entry WHERE file = '{path}')
SELECT json_build_object('name', name, 'value', entry.value, 'file', file, 'line', line) || '{MARK}'
FROM entry JOIN wanted USING (name) CROSS JOIN ours
WHERE file LIKE '%/{SYSTEM}' OR entry.value IS DISTINCT FROM wanted.value AND (
    entry.seqno > ours.seqno
    OR ours.seqno IS NULL AND file LIKE '{directory}/%' AND file COLLATE "C" > '{path}'
)
UNION ALL
SELECT json_build_object('name', name, 'value', setting, 'context', context, 'source', source)
    || '{MARK}'
FROM wanted JOIN pg_settings USING (name)
WHERE source NOT IN ('user', 'database', 'database user', 'client', 'session') AND CASE
    WHEN unit IS NULL AND vartype IN ('string', 'integer', 'real') THEN setting <> value
    ELSE NOT EXISTS (
        SELECT FROM entry WHERE entry.name = wanted.name AND entry.value = wanted.value
            AND file = sourcefile AND error IS NULL
    )
END;
"""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Settings:
    """What holds in the running PostgreSQL: what `path` sets, whose content has these `values`.

    `survey` prints `query`, or the entries that its files have as long as nobody answers. `library`
    has the shell function `reset_settings`.
    """

    path: str
    values: Mapping[str, str]
    survey: Survey
    library: str
    key: str = "settings of the running PostgreSQL"

    @property
    def restart_key(self) -> str:
        """The name of a change that holds after a restart only."""
        return f"{self.key} (restart)"

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return ((self.survey, ""),)

    def probe(self) -> str:
        """Print what sets or holds another value, as JSON, a line each."""
        return f'line_of "${self.survey.variable}" {shlex.quote(MARK)}'

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Take back what ALTER SYSTEM has set, and have what is read hold.

        Raises Refused where a file or the command line sets it.
        """
        rows = [json.loads(line) for line in facts.splitlines() if line]
        entries = [row for row in rows if "file" in row]
        held = {row["name"]: row for row in rows if "file" not in row}
        by_system = [row for row in entries if row["file"].endswith(f"/{SYSTEM}")]
        self._refuse([row for row in entries if row not in by_system], list(held.values()))
        names = dict.fromkeys(row["name"] for row in by_system)
        # A file that changes now brings its own restart.
        stale = [] if self.path in changed else [held[name] for name in held if name not in names]
        # Nobody answers: it starts with what is in its files by then.
        silent = any("written" in row for row in rows)
        restart = silent or any(row["context"] == "postmaster" for row in held.values())
        summary = self._summary(by_system, held, stale)
        script = f"{self.library}reset_settings {' '.join(names)}" if names else ":"
        key = self.restart_key if restart else self.key
        return Change(key, summary, script) if summary else None

    def _refuse(self, entries: list[dict[str, Any]], held: list[dict[str, Any]]) -> None:
        """Raise Refused where a value is somebody's who must take it away."""
        others = [row for row in entries if row["value"] != self.values[row["name"]]]
        if others:
            words = "; ".join(
                f"{self._said(row)} in {row['file']}, line {row['line']}" for row in others
            )
            lines = "these lines" if len(others) > 1 else "that line"
            raise Refused(
                f"PostgreSQL reads {words}, after {self.path} and in its place: "
                f"remove {lines} there"
            )
        for row in held:
            if row["source"] == "command line":
                raise Refused(
                    f"PostgreSQL has {self._said(row)} on its command line, in place of what "
                    f"{self.path} says: remove it from pg_ctl.conf or the unit there"
                )

    def _summary(
        self,
        by_system: list[dict[str, Any]],
        held: dict[str, dict[str, Any]],
        stale: list[dict[str, Any]],
    ) -> str:
        parts = []
        if by_system:
            words = [self._said(row, holds=row["name"] in held) for row in by_system]
            parts.append(f"take back what ALTER SYSTEM has set: {', '.join(words)}")
        if stale:
            own = ", ".join(f"{row['name']} = {self.values[row['name']]!r}" for row in stale)
            now = ", ".join(self._said(row) for row in stale)
            parts.append(f"have its file's {own} hold, in place of {now}")
        return "; ".join(parts)

    def _said(self, row: Mapping[str, Any], holds: bool = True) -> str:
        """Return what is set, and what follows if that is what holds."""
        name, value = row["name"], row["value"]
        found = {each.strip() for each in value.split(",")}
        wanted = {each.strip() for each in self.values[name].split(",")}
        reached = wanted <= found or (name == "listen_addresses" and found & {"*", "0.0.0.0"})
        lost = holds and name in REACHED_BY and not reached
        words = " (the app servers cannot reach it there)" if lost else ""
        return f"{name} = {value!r}{words}"
