"""Internet: the users reach every app server through the balancer, evenly, and nothing else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections import Counter

import requests

from fabfile.verify.check import Check, Site, judged
from fabfile.verify.scan import program

POLL_SECONDS = 30
ROUNDS = 10
USED_PORTS = (22, 80, 3000, 5432, 8404, 24007, 24008, 49152)
UDP_PORTS = (53, 67, 111, 123, 161, 514, 24007)
SCAN_SECONDS = 40


def served(site: Site) -> list[Check]:
    """Check that all app servers answer the users, each as often as the others."""
    return [
        judged("internet: every app server answers", lambda: _all_answer(site)),
        judged("internet: requests are spread evenly", lambda: _even(site)),
    ]


def closed(site: Site) -> list[Check]:
    """Check from a client what of the inside can be reached: HTTP and ping of the balancer."""
    balancer = site.scenario.tier("balancer")[0].address("lan2")
    found: dict = {}
    scanner = _scanner(site) or "this computer"
    open_one = f"{balancer}:{site.scenario.ports['http']}"
    return [
        judged(f"internet: {balancer} answers ping", lambda: _ping(site, balancer)),
        judged(
            f"internet: from {scanner} only {open_one} is open (TCP)",
            lambda: _tcp(site, found, open_one),
        ),
        judged(f"internet: nothing answers {scanner} by UDP", lambda: _udp(found)),
        judged(f"internet: the firewall doesn't answer {scanner} by IPv6", lambda: _ipv6(site)),
    ]


def _server(browser: requests.Session, url: str) -> str:
    answer = browser.get(url, timeout=3, allow_redirects=False)
    return answer.headers.get("X-Served-By", f"nobody (status {answer.status_code})")


def _browser() -> requests.Session:
    browser = requests.Session()
    browser.trust_env = False  # a proxy would not be the way of the users
    return browser


def _all_answer(site: Site) -> tuple[bool, str]:
    servers = {machine.name for machine in site.scenario.tier("app")}
    answered: set[str] = set()
    reason = ""
    deadline = time.monotonic() + POLL_SECONDS
    with _browser() as browser:
        while servers - answered and time.monotonic() < deadline:
            try:
                answered.add(_server(browser, site.scenario.url))
            except requests.RequestException as error:
                reason = f" ({type(error).__name__})"
                time.sleep(0.2)
            # Not as fast as possible: the wait is for a server that comes up.
            time.sleep(0.05)
    never = sorted(servers - answered)
    if never:
        return False, f"never answered within {POLL_SECONDS} s: {', '.join(never)}{reason}"
    return True, f"{', '.join(sorted(answered))} at {site.scenario.url}"


def _even(site: Site) -> tuple[bool, str]:
    names = [machine.name for machine in site.scenario.tier("app")]
    with _browser() as browser:
        total = ROUNDS * len(names)
        share = Counter(_server(browser, site.scenario.url) for _ in range(total))
    counts = [share[name] for name in names]
    # One more or less: another client's request may take a turn in between.
    even = max(counts) - min(counts) <= 1 and not set(share) - set(names)
    every = sorted({*names, *share})
    return even, f"{total} requests: " + ", ".join(f"{name} {share[name]}" for name in every)


def _scanner(site: Site) -> str:
    clients = [machine.name for machine in site.scenario.tier("client") if machine.login]
    return clients[0] if clients else ""


def _outside(site: Site, script: str, seconds: float = SCAN_SECONDS) -> str:
    """Run a Python program on a client, or on this computer when there is none."""
    client = _scanner(site)
    if client:
        return site.python(client, script, seconds)
    done = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, timeout=seconds
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["the program failed"])[-1])
    return done.stdout


def _command(site: Site, *words: str) -> str:
    script = f"import subprocess\nprint(subprocess.run({list(words)!r}, capture_output=True).stdout"
    return _outside(site, script + ".decode())", 15)


def _ping(site: Site, address: str) -> tuple[bool, str]:
    text = _command(site, "ping", "-c", "2", "-i", "0.2", "-W", "2", address)
    found = re.search(r"(\d+) received", text)
    return bool(found and found[1] == "2"), f"{found[1] if found else 0} of 2 answers"


def _tcp(site: Site, found: dict, open_one: str) -> tuple[bool, str]:
    scenario = site.scenario
    whole = [scenario.tier("balancer")[0].address("lan2")]
    whole += [
        machine.address(lan) for machine in scenario.tier("firewall") for lan in ("lan1", "lan2")
    ]
    every = {
        str(address): network == "management"
        for machine in scenario.machines
        if machine.tier not in ("client", "control")
        for network, address in machine.addresses.items()
    }
    own = [machine for machine in scenario.machines if machine.name == _scanner(site)]
    own = own or list(scenario.tier("control"))
    # A client of the lab has a management interface of its own: what it reaches by that doesn't
    # pass the firewall, so it says nothing of the Internet side.
    avoid = own[0].addresses.get("management") if own else None
    ports = sorted({*USED_PORTS, *scenario.ports.values()})
    script = program(whole, list(every), ports, list(UDP_PORTS), str(avoid or ""))
    # Only the literal: sudo's warnings, in pieces, may come around it.
    answer = re.search(r"\{.*\}", _outside(site, script))
    if not answer:
        return False, "the scan gave no result"
    found.update(ast.literal_eval(answer[0]))
    strange = [address for address in found["skipped"] if not every[address]]
    if strange:
        return False, f"the way to {', '.join(strange)} doesn't pass the firewall"
    seen = f"{found['tried']} ports tried, open: {', '.join(found['open']) or 'none'}"
    if found["skipped"]:
        seen += f"; {len(found['skipped'])} management addresses left out, not behind the firewall"
    return found["open"] == [open_one], seen


def _udp(found: dict) -> tuple[bool, str]:
    if "udp" not in found:
        return False, "not known: the scan failed"
    return not found["udp"], f"answers: {', '.join(found['udp']) or 'none'}"


def _ipv6(site: Site) -> tuple[bool, str]:
    firewall = site.scenario.tier("firewall")[0]
    shown = site.run(firewall.name, f"ip -6 -o addr show dev {firewall.interface('lan1')}")
    own = re.findall(r"inet6 ([0-9a-f:]+)/", shown)
    clients = [each for each in site.scenario.machines if each.name == _scanner(site)]
    outside = (clients or site.scenario.tier("control"))[0].interface("lan1")
    targets = [f"ff02::1%{outside}", *(f"{address}%{outside}" for address in own)]
    answers = ""
    for target in targets:
        answers += _command(site, "ping", "-6", "-c", "2", "-i", "0.3", "-W", "1", target)
    heard = {address for address in re.findall(r"from ([0-9a-f:]+?)(?:%\S+?)?:? ", answers)}
    guilty = sorted(heard & set(own))
    return not guilty, f"neighbours that answer: {len(heard)}; the firewall: " + (
        ", ".join(guilty) or "no answer"
    )
