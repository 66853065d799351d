"""The variables that the deployer gives an application, and how its own may refer to them.

Standard library only. A value of `environment` in config.py may hold "${PGHOST}"; "$${PGHOST}" is
the text "${PGHOST}" itself, and a "$" in front of anything else is that sign.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# What libpq(5) and many other libraries read, beside the same as a URL.
OURS = (
    *("DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"),
    *("SECRET_KEY", "UPLOADS", "PORT"),
)
REFERENCE = re.compile(r"(\$?)\$\{([^{}]*)\}")


def unknown(value: str) -> list[str]:
    """Return the names that a value refers to, and that the deployer does not give."""
    return [name for kept, name in REFERENCE.findall(value) if not kept and name not in OURS]


def filled(value: str, given: Mapping[str, str]) -> str:
    """Return a value with what it refers to in place; raises KeyError for a name not given."""
    return REFERENCE.sub(
        lambda found: found[0].removeprefix("$") if found[1] else given[found[2]], value
    )
