"""A person at a real browser: what the pages are like is seen nowhere else."""

import pytest
from selenium.webdriver.common.by import By

from fabfile.tiers.app.checks.browser import png
from tests.lab.commands import wait_for
from tests.lab.webdriver import await_text, browser, click, enter

pytestmark = pytest.mark.only_looks


def test_a_customer_is_entered_seen_and_removed(lab, tmp_path):
    photo, name = tmp_path / "photo.png", "Entered in a browser"
    photo.write_bytes(png())
    with browser() as page:
        page.get(lab.scenario.url)
        enter(page, "[name=login]", "admin")
        enter(page, "[name=password]", lab.scenario.secret("administrator_password"))
        click(page, "button[type=submit]")
        click(page, "a[href$='/customers/new']")
        enter(page, "[name=name]", name)
        enter(page, "[name=photo]", str(photo))
        click(page, "main button[type=submit]")
        await_text(page, f"{name} was added.")
        assert page.find_element(By.TAG_NAME, "h1").text == name
        image = page.find_element(By.CSS_SELECTOR, "main img.avatar")
        wait_for("the photo in the browser", lambda: image.get_property("naturalWidth") == 8)
        click(page, "details.remove summary")
        click(page, "details.remove button")
        await_text(page, "The customer was deleted.")
        assert name not in page.find_element(By.TAG_NAME, "body").text
