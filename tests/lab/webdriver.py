"""A real browser: Debian's Chromium without a window, driven by Selenium."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
from selenium.webdriver.support.wait import WebDriverWait

BODY = (By.TAG_NAME, "body")


@contextmanager
def browser() -> Iterator[Chrome]:
    """Run a browser during the block."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server"):
        options.add_argument(argument)
    # By its path: Selenium would look for a driver on the Internet.
    service = ChromeService("/usr/bin/chromedriver")
    # A proxy is not the way to a driver on this computer.
    with patch.dict(os.environ, no_proxy="localhost"):
        chrome = Chrome(options, service)
    with chrome as driver:
        # A click may begin to load a page, which is not there at once.
        driver.implicitly_wait(10)
        yield driver


def enter(driver: Chrome, selector: str, text: str) -> None:
    """Type into a field; into one for a file, its path."""
    driver.find_element(By.CSS_SELECTOR, selector).send_keys(text)


def click(driver: Chrome, selector: str) -> None:
    """Click, as a person would: what is covered or not visible cannot be."""
    driver.find_element(By.CSS_SELECTOR, selector).click()


def await_text(driver: Chrome, words: str, seconds: float = 30) -> None:
    """Wait until words are seen on the page."""
    try:
        WebDriverWait(driver, seconds).until(text_to_be_present_in_element(BODY, words))
    except TimeoutException:
        shown = driver.find_element(*BODY).text
        raise AssertionError(f"no {words!r} on {driver.current_url}, but:\n{shown}") from None
