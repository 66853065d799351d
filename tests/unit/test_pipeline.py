"""The pipeline, releases and credentials: what can be told without a machine."""

import re
import stat
import tarfile
from dataclasses import replace
from io import BytesIO

import pytest

from fabfile import pipeline
from fabfile.engine.remote import MachineError
from fabfile.engine.resources import File, Unpacked
from fabfile.operations.progress import hide
from fabfile.scenario.credentials import (
    NAMES,
    SecretError,
    known_secrets,
    make_secrets,
    secret,
)
from fabfile.tiers.app import release
from fabfile.tiers.app import state as app
from fabfile.tiers.balancer import state as balancer
from fabfile.tiers.database import state as database


def test_each_stage_comes_after_stages_that_stand_before_it() -> None:
    known = set()
    for step in pipeline.PIPELINE:
        assert set(step.after) <= known, step.name
        known.add(step.name)


def test_a_stage_for_the_first_machine_and_one_for_the_others(scenario) -> None:
    machines = {stage.name: stage.machines for stage in pipeline.stages(scenario)}
    assert machines["build"] == ("s1",)
    assert machines["ship"] == ("s2", "s3")
    assert machines["serve"] == ("s1", "s2", "s3")


def test_a_tier_has_its_own_stages_only(scenario) -> None:
    names = [stage.name for stage in pipeline.stages(scenario, "storage")]
    assert names == ["agreement", "alone", "storage", "volume", "bricks", "backup", "begun"]


def test_no_machine_gets_packages_of_another_tier(scenario) -> None:
    assert pipeline.packages(scenario, scenario.machine("bbdd")) == (
        "postgresql-17",
        "pgbouncer",
        "pgbackrest",
    )
    assert "haproxy" not in pipeline.packages(scenario, scenario.machine("s1"))


def test_the_same_source_gives_the_same_release(scenario) -> None:
    identifier = release.identifier(scenario)
    release.made.cache_clear()
    assert release.identifier(scenario) == identifier


def test_a_release_leaves_out_what_is_excluded(scenario) -> None:
    with tarfile.open(fileobj=BytesIO(release.archive(scenario))) as archive:
        names = archive.getnames()
    assert "wsgi.py" in names
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


def test_only_app_servers_may_reach_the_database(scenario) -> None:
    resources = database.desired(scenario, scenario.machine("bbdd"))
    access = next(r for r in resources if isinstance(r, File) and r.path.endswith("pg_hba.conf"))
    hosts = [line.split() for line in access.content.splitlines() if line.startswith("host")]
    # One line for each application and server: the role of a database gets into that one only.
    servers = ["10.1.4.11/32", "10.1.4.12/32", "10.1.4.13/32"]
    assert [host[1:4] for host in hosts] == [
        [name, name, server] for name in ("crm", "crm_2017") for server in servers
    ]
    assert {host[4] for host in hosts} == {"scram-sha-256"}


def test_each_app_server_is_a_backend_of_the_balancer(scenario) -> None:
    resources = balancer.desired(scenario, scenario.machine("lb"))
    text = next(r.content for r in resources if r.key == "/etc/haproxy/haproxy.cfg")
    for server in scenario.tier("app"):
        assert f"server {server.name} {server.addresses['lan3']}:3000" in text


def test_secrets_stand_only_in_files_that_not_everybody_may_read(scenario) -> None:
    for step in pipeline.PIPELINE:
        for machine in pipeline.machines(scenario, step):
            for resource in step.desired(scenario, machine):
                if isinstance(resource, File) and resource.mode & 0o007:
                    found = [s for s in known_secrets(scenario.state) if s in resource.content]
                    assert not found, resource.path


def test_the_database_server_gets_no_password(scenario) -> None:
    password = scenario.secret("database_password")
    for resource in database.desired(scenario, scenario.machine("bbdd")):
        assert password not in repr(resource)


def test_others_ship_what_the_first_builds(scenario) -> None:
    built = app.built(scenario, scenario.machine("s1"))[-1]
    shipped = app.shipped(scenario, scenario.machine("s2"))[0]
    assert isinstance(shipped, Unpacked)
    assert (built.path, bool(built.build), shipped.build) == (shipped.path, True, "")


@pytest.mark.parametrize(
    ("system", "file", "sentence"),
    [
        ("debian 12", "venv/lib/python3.13/site-packages/x.py", "Debian 13 only (venv/lib/"),
        ("debian 12", "node_modules/x/build/x.node", "Debian 13 only (node_modules/"),
        ("debian 12", "public/app.js", ""),
        ("debian 13", "node_modules/x/build/x.node", ""),
    ],
)
def test_what_was_built_for_another_debian_is_not_shipped(
    scenario, monkeypatch, system, file, sentence
) -> None:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo(file))
    monkeypatch.setattr(release, "fetch", lambda machine, directory: buffer.getvalue())
    systems = {**scenario.systems, "s1": "debian 13", "s2": system}
    mixed = replace(scenario, systems=systems)
    (shipped,) = app.shipped(mixed, mixed.machine("s2"))
    assert isinstance(shipped, Unpacked)
    if not sentence:
        assert shipped.archive() == buffer.getvalue()
    else:
        with pytest.raises(MachineError, match=re.escape(sentence)):
            shipped.archive()


def test_secrets_are_made_once_and_kept_for_their_owner_only(tmp_path) -> None:
    state = tmp_path / "state"
    make_secrets(state)
    first = [secret(state, name) for name in NAMES]
    make_secrets(state)
    assert [secret(state, name) for name in NAMES] == first and len({*first}) == len(NAMES)
    assert stat.S_IMODE((state / "secrets.json").stat().st_mode) == 0o600
    assert hide(f"it is {first[0]}.", known_secrets(state)) == "it is ********."


def test_secrets_of_an_earlier_version_are_kept(tmp_path) -> None:
    (tmp_path / "secrets.json").write_text('{"database_password": "old"}')
    make_secrets(tmp_path)
    assert secret(tmp_path, "database_password") == "old"
    assert secret(tmp_path, "api_token")


def test_a_secret_that_nobody_has_made_is_an_error(tmp_path) -> None:
    with pytest.raises(SecretError, match=r"no api_token in .*: deploy makes it"):
        secret(tmp_path, "api_token")
    assert not list(tmp_path.iterdir())


def test_what_machines_must_have_is_told_without_writing_anything(scenario) -> None:
    files = sorted(scenario.state.iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    for step in pipeline.PIPELINE:
        for machine in pipeline.machines(scenario, step):
            step.desired(scenario, machine)
    assert sorted(scenario.state.iterdir()) == files
    assert [path.stat().st_mtime_ns for path in files] == before
