"""Draws the scenario: each network a line, each tier a frame with its machines, who asks whom."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from invoke.exceptions import Exit

from fabfile.operations.progress import console
from fabfile.operations.session import scenario as scenario_to_show
from fabfile.scenario import ROOT, Machine, Scenario
from fabfile.scenario.flows import CONTROL, USERS
from fabfile.scenario.parts import MANAGEMENT
from fabfile.tiers import TIERS
from fabfile.tiers.tier import Tier

PICTURE = ROOT / "docs" / "scenario.svg"

COLUMNS = 4  # machines side by side in a row
MARGIN, PADDING, GAP = 24, 14, 12
LINE, TITLE = 17, 42  # heights of a line of text and of a frame's title
LANE = 80  # between two rows, with the network in its middle
LETTER = 7.3  # width of a character of the addresses
SIDE = 52  # at the left, for the management network

# The picture brings its own background: it is read in a light page and in a dark one.
STYLE = """
text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d1d9e0 }
.frame { fill: #f6f8fa; stroke: #d1d9e0 }
.machine { fill: #ffffff; stroke: #8c959f }
.title, .name { font-weight: 600 }
.name { font-size: 15px }
.about, .key { fill: #59636e }
.address, .key { font: 12px ui-monospace, Menlo, 'DejaVu Sans Mono', monospace }
.network { stroke: #0969da; stroke-width: 5; stroke-linecap: round }
.label { fill: #0969da; font-weight: 600 }
.wire { stroke: #8c959f; stroke-width: 1.5; fill: none }
.flow { stroke: #1a7f37; stroke-width: 2; fill: none }
.asks { fill: #1a7f37; font-weight: 600 }
.tip { fill: #1a7f37 }
.management { stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 3 4; fill: none }
"""
DARK = """
text { fill: #e6edf3 }
.page { fill: #0d1117; stroke: #3d444d }
.frame { fill: #161b22; stroke: #3d444d }
.machine { fill: #0d1117; stroke: #656c76 }
.about, .key { fill: #9198a1 }
.network { stroke: #4493f8 }
.label { fill: #4493f8 }
.flow { stroke: #3fb950 }
.asks, .tip { fill: #3fb950 }
"""


@dataclass(frozen=True)
class _Frame:
    """A tier's place in the picture."""

    tier: Tier
    machines: Sequence[Machine]
    columns: int
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def svg(scenario: Scenario) -> str:
    """Return the picture of a scenario as SVG; the same scenario gives the same text."""
    rows = _rows(scenario)
    frames = [frame for row in rows for frame in row]
    width = max(frame.x + frame.width for frame in frames) + MARGIN
    height = max(frame.y + frame.height for frame in frames) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">',
        f"<title>The scenario {escape(scenario.name)}: its machines and networks</title>",
        f"<style>{STYLE}@media (prefers-color-scheme: dark) {{{DARK}}}\n</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" '
        'rx="10"/>',
        *_management(scenario, rows),
    ]
    for above, below in pairwise(rows):
        parts += _lane(scenario, above, below, width)
    for frame in frames:
        parts += _drawn(scenario, frame)
    return "\n".join([*parts, "</svg>", ""])


def draw(to: str = "") -> None:
    """Write the picture of the scenario to a file; raises Exit when that cannot be done."""
    path = Path(to) if to else PICTURE
    text = svg(scenario_to_show())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise Exit(f"{path} could not be written: {error.strerror}.", 1) from None
    console.print(f"the scenario is drawn in {os.path.relpath(path)}", markup=False)


def _rows(scenario: Scenario) -> list[list[_Frame]]:
    """Return the frames, row by row, each row in the middle of the picture."""
    box = _box_width(scenario)
    rows: list[list[_Frame]] = []
    y = float(MARGIN)
    for number in sorted({tier.row for tier in TIERS.values()}):
        found = [(tier, scenario.tier(tier.name)) for tier in TIERS.values() if tier.row == number]
        groups = [(tier, group) for tier, group in found if group]
        row = []
        for tier, group in groups:
            columns = min(len(group), COLUMNS - len(groups) + 1)
            lines = -(-len(group) // columns)
            width = columns * (box + GAP) - GAP + 2 * PADDING
            width = max(width, LETTER * len(_about(scenario, tier)) + 2 * PADDING)
            each = max(_box_height(machine) for machine in group) + GAP
            row.append(
                _Frame(tier, group, columns, 0, y, width, TITLE + lines * each - GAP + PADDING)
            )
        # A scenario need not name its users: their network is drawn all the same.
        if not row and rows:
            continue
        rows.append(row)
        y += max((frame.height for frame in row), default=0) + LANE
    full = max(_width(row) for row in rows)
    return [_centred(row, full) for row in rows]


def _width(row: Sequence[_Frame]) -> float:
    return sum(frame.width for frame in row) + 2 * GAP * (len(row) - 1)


def _centred(row: Sequence[_Frame], full: float) -> list[_Frame]:
    x = MARGIN + SIDE + (full - _width(row)) / 2
    placed = []
    height = max((frame.height for frame in row), default=0)
    for frame in row:
        placed.append(
            _Frame(
                frame.tier,
                frame.machines,
                frame.columns,
                round(x),
                frame.y,
                round(frame.width),
                height,
            )
        )
        x += frame.width + 2 * GAP
    return placed


def _box_width(scenario: Scenario) -> float:
    longest = max(
        len(name) + len(str(address)) + 2
        for machine in scenario.machines
        for name, address in machine.addresses.items()
    )
    return round(max(LETTER * longest, *(9 * len(each.name) for each in scenario.machines))) + 16


def _box_height(machine: Machine) -> float:
    return 30 + LINE * len(machine.addresses)


def _about(scenario: Scenario, tier: Tier) -> str:
    """Return what the machines of a tier are there for, in a few words."""
    about = tier.about.format(
        ports=scenario.ports, application=scenario.application.name, replicas=scenario.replicas
    )
    shared = " and ".join(map(str, scenario.floating.get(tier.name, {}).values()))
    return f"{about}; they share {shared}" if shared else about


def _asks(scenario: Scenario, tier: Tier) -> str:
    """Return what a tier is asked for by those above it; of the firewall, what passes it."""
    flows = [flow for flow in scenario.flows if flow.source != CONTROL]
    above = [flow for flow in flows if TIERS[flow.source].row < tier.row]
    asked = [flow.listener for flow in above if flow.target == tier.name]
    passing = [flow.listener for flow in flows if flow.source == USERS]
    words = [
        f"{each.words}, port {scenario.ports[each.port]}" if each.port else each.words
        for each in asked or passing
        if each.protocol == "tcp"
    ]
    return "; ".join(dict.fromkeys(words))


def _text(kind: str, x: float, y: float, words: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}"{more}>{escape(words)}</text>'


def _drawn(scenario: Scenario, frame: _Frame) -> list[str]:
    left = frame.x + PADDING
    parts = [
        f'<rect class="frame" x="{frame.x:.0f}" y="{frame.y:.0f}" width="{frame.width:.0f}" '
        f'height="{frame.height:.0f}" rx="8"/>',
        _text("title", left, frame.y + 19, frame.tier.title),
        _text("about", left, frame.y + 35, _about(scenario, frame.tier)),
    ]
    box = _box_width(scenario)
    each = max(_box_height(machine) for machine in frame.machines) + GAP
    first = frame.middle - (frame.columns * (box + GAP) - GAP) / 2
    for number, machine in enumerate(frame.machines):
        line, column = divmod(number, frame.columns)
        x = first + column * (box + GAP)
        y = frame.y + TITLE + line * each
        parts += _machine(machine, frame.tier, x, y, box)
    return parts


def _machine(machine: Machine, tier: Tier, x: float, y: float, width: float) -> list[str]:
    parts = [
        f'<rect class="machine" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" '
        f'height="{_box_height(machine):.0f}" rx="5"><title>{escape(machine.name)}: '
        f"{tier.title}</title></rect>",
        _text("name", x + 8, y + 19, machine.name),
    ]
    for number, (name, address) in enumerate(machine.addresses.items()):
        height = y + 36 + LINE * number
        parts.append(_text("key", x + 8, height, name))
        parts.append(_text("address", x + width - 8, height, str(address), ' text-anchor="end"'))
    return parts


def _between(scenario: Scenario, above: list[_Frame], below: list[_Frame]) -> str:
    """Return the network between two rows: the users' one above the firewall."""
    lower = below[0].machines[0]
    if "firewall" in lower.tiers:
        return scenario.outer(lower)
    return scenario.network(above[0].machines[0], lower)


def _lane(scenario: Scenario, above: list[_Frame], below: list[_Frame], width: float) -> list[str]:
    """Return a network between two rows, and the ways over it."""
    name = _between(scenario, above, below)
    # A scenario need not name its users: then there is nothing above.
    top = max((frame.y + frame.height for frame in above), default=below[0].y - LANE)
    y = top + LANE / 2
    left, right = MARGIN + SIDE, width - MARGIN
    parts = [
        f'<path class="network" d="M{left:.0f} {y:.0f}H{right:.0f}"/>',
        _text("label", left, y - 9, f"{name} · {scenario.networks[name]}"),
    ]
    for frame in above:
        # This computer is on the network of the users, but is no user.
        kind = "wire" if frame.tier.name == CONTROL else "flow"
        parts.append(f'<path class="{kind}" d="M{frame.middle:.0f} {top:.0f}V{y - 3:.0f}"/>')
    for frame in below:
        x, end = frame.middle, frame.y
        parts.append(f'<path class="flow" d="M{x:.0f} {y + 3:.0f}V{end - 8:.0f}"/>')
        parts.append(
            f'<path class="tip" d="M{x - 6:.0f} {end - 10:.0f}h12l-6 10z"/>',
        )
        asked = _asks(scenario, frame.tier)
        parts.append(_text("asks", x + 12, y + 26, asked))
    return parts


def _management(scenario: Scenario, rows: list[list[_Frame]]) -> list[str]:
    """Return the network at the side that Fabric logs in on."""
    if MANAGEMENT not in scenario.networks:
        return []
    rows = [row for row in rows if row]
    x = MARGIN + 14
    first, last = (row[0].y + row[0].height / 2 for row in (rows[0], rows[-1]))
    label = f"{MANAGEMENT} · {scenario.networks[MANAGEMENT]} · Fabric logs in here"
    middle = (first + last) / 2
    parts = [
        f'<path class="management" d="M{x:.0f} {first:.0f}V{last:.0f}"/>',
        _text(
            "about",
            x - 8,
            middle,
            label,
            f' text-anchor="middle" transform="rotate(-90 {x - 8:.0f} {middle:.0f})"',
        ),
    ]
    for row in rows:
        y = row[0].y + row[0].height / 2
        parts.append(f'<path class="management" d="M{x:.0f} {y:.0f}H{row[0].x:.0f}"/>')
    return parts
