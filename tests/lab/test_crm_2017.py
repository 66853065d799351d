"""CRM_2017, the application that the scenario was written for, from the source at hand."""

import json
import re

import pytest
import requests

from fabfile.tiers.app.checks.browser import png
from tests.lab import other_applications, places
from tests.lab.webdriver import await_text, browser, click, enter

pytestmark = pytest.mark.installs_packages

APPS = ("s1", "s2", "s3")
NAME = "crm-2017"
# Answers which server sends the image to the browser, and its size there.
FETCH = """
const [url, done] = arguments;
fetch(url, {cache: "no-store"}).then(async answer => {
    const bits = await createImageBitmap(await answer.blob());
    done(`${answer.headers.get("X-Served-By")} ${bits.width}x${bits.height}`);
}).catch(error => done(String(error)));
"""


@pytest.fixture(scope="module")
def config(repaired, tmp_path_factory):
    """Deploy it in the place of the embedded application, which comes back behind it."""
    path = tmp_path_factory.mktemp("crm-2017") / "config.py"
    other_applications.configuration(repaired, NAME, other_applications.crm_2017(), path)
    repaired.fab("deploy", limit=400, config=path)
    yield path
    repaired.fab("deploy", limit=200)


@pytest.fixture(scope="module")
def password(config):
    return json.loads((places.STATE / "secrets.json").read_text())["administrator_password"]


@pytest.fixture
def person(lab, password):
    """Log in as the administrator, in a browser of its own."""
    with requests.Session() as person:
        person.trust_env = False
        form = {"login": "admin2", "password": password}
        page = person.post(f"{lab.scenario.url}session", data=form, timeout=10)
        assert 'id="loginname"' in page.text
        yield person


def sql(lab, statement):
    return lab.sql(statement, "crm_2017")


def falses(lab, config):
    done = lab.invoke("verify", limit=120, config=config, code=None)
    return re.findall(r"^FALSE +(.*?) \(", done.out, re.M), done.out


def test_verify_finds_all_of_it_true_and_leaves_nothing(lab, config):
    count = 'SELECT (SELECT count(*) FROM "Sessions"), (SELECT count(*) FROM "Attachments")'
    before = sql(lab, count)
    wrong, text = falses(lab, config)
    assert not wrong, text
    assert "the public password and API token do not work" in text
    assert sql(lab, count) == before


def test_a_second_deploy_changes_nothing(lab, config):
    assert "0 changes" in lab.fab("deploy", config=config).out


def test_it_was_migrated_and_seeded_once(lab, config):
    assert sql(lab, 'SELECT login FROM "Users"') == "admin2"
    done = sql(lab, "SELECT split_part(what, ' ', 1) FROM deployer.done").split()
    assert sorted(done) == ["before", "migrate", "secure", "seed"]


def test_the_health_path_makes_no_sessions(lab, config):
    before = sql(lab, 'SELECT count(*) FROM "Sessions"')
    for _ in range(30):
        assert lab.get("favicon.ico").status_code == 200
    assert sql(lab, 'SELECT count(*) FROM "Sessions"') == before


def test_no_password_shows_in_a_process_list_or_the_journal(lab, config, person, password):
    assert person.get(f"{lab.scenario.url}customers", timeout=10).status_code == 200
    secrets = json.loads((places.STATE / "secrets.json").read_text()).values()
    for name in APPS:
        seen = lab.do(name, f"ps axww; journalctl -q -u {NAME} -o cat")
        assert not [secret for secret in secrets if secret in seen]
        assert "SELECT" not in seen


def test_a_user_stays_logged_in_when_a_server_goes(lab, config, person):
    url = f"{lab.scenario.url}customers"
    gone = person.get(url, timeout=10).headers["X-Served-By"]
    lab.do(gone, f"systemctl kill -s KILL {NAME}; systemctl stop {NAME}")
    try:
        for _ in range(6):
            page = person.get(url, timeout=10)
            assert (page.status_code, 'id="loginname"' in page.text) == (200, True)
            assert page.headers["X-Served-By"] != gone
    finally:
        lab.do(gone, f"systemctl start {NAME}")


def test_verify_tells_accounts_that_anybody_can_use(lab, config, person):
    kept = sql(lab, """SELECT token FROM "Users" WHERE login = 'admin2'""")
    sql(lab, """UPDATE "Users" SET token = '1234567890' WHERE login = 'admin2'""")
    try:
        wrong, text = falses(lab, config)
    finally:
        sql(lab, f"""UPDATE "Users" SET token = '{kept}' WHERE login = 'admin2'""")
    assert "application: the public password and API token do not work" in wrong, text


def test_in_a_real_browser_a_photo_is_seen_from_each_server(lab, config, password, tmp_path):
    photo, url = tmp_path / "photo.png", lab.scenario.url
    photo.write_bytes(png())
    with browser() as page:
        page.get(f"{url}session")
        enter(page, "#login", "admin2")
        enter(page, "#password", password)
        click(page, "button[type=submit]")
        await_text(page, "admin2")
        page.get(f"{url}customers/new")
        enter(page, "[name=code]", "browser")
        enter(page, "[name=name]", "Entered in a browser")
        page.execute_script("document.querySelector('[name=code]').form.submit()")
        await_text(page, "Cliente creado con éxito.")
        page.get(f"{url}users/1/edit")
        enter(page, "[name=photo]", str(photo))
        click(page, "#keepphoto")  # it is ticked: keep the old one
        page.execute_script("document.querySelector('#myForm').submit()")
        await_text(page, "Imagen nueva guardada con éxito.")
        image = page.execute_script("return document.querySelector(\"img[src^='/uploads/']\").src")
        servers = {page.execute_async_script(FETCH, image) for _ in range(2 * len(APPS))}
        assert servers == {f"{name} 8x8" for name in APPS}
    sql(lab, """DELETE FROM "Customers" WHERE code = 'browser'""")
    # The administrator has a photo now, which is on each of their posts, and must not be touched.
    wrong, text = falses(lab, config)
    assert not wrong, text
    assert lab.get(image.removeprefix(url)).status_code == 200
