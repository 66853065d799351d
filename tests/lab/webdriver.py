"""Drives a real browser by the W3C WebDriver protocol: headless Chromium and its driver."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.lab.commands import wait_for
from tests.lab.places import NUMBER

PORT = 9428 + NUMBER
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
OPTIONS = {
    "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server"],
    "binary": "/usr/bin/chromium",
}


class Page:
    """A browser window, used by CSS selectors."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._driver = requests.Session()
        self._driver.trust_env = False

    def _ask(self, method: str, path: str, body: dict | None = None) -> object:
        url = f"{self._url}/{path}".removesuffix("/")
        answer = self._driver.request(method, url, json=body, timeout=60)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def start(self) -> None:
        """Open the browser's window."""
        capabilities = {"goog:chromeOptions": OPTIONS}
        session = self._ask("POST", "session", {"capabilities": {"alwaysMatch": capabilities}})
        self._url += f"/session/{session['sessionId']}"

    def close(self) -> None:
        """Close the browser."""
        self._ask("DELETE", "")

    def go(self, url: str) -> None:
        """Open a page."""
        self._ask("POST", "url", {"url": url})

    @property
    def url(self) -> str:
        """The address of the page that is shown."""
        return self._ask("GET", "url")

    def _find(self, selector: str) -> str:
        body = {"using": "css selector", "value": selector}
        return self._ask("POST", "element", body)[ELEMENT]

    def type(self, selector: str, text: str) -> None:
        """Type into a field; into one for a file, its path."""
        self._ask("POST", f"element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click, as a person would: what is covered or not visible cannot be."""
        self._ask("POST", f"element/{self._find(selector)}/click", {})

    def text(self, selector: str = "body") -> str:
        """Return the text that is seen."""
        return self._ask("GET", f"element/{self._find(selector)}/text")

    def run(self, script: str) -> object:
        """Return what a JavaScript function's body returns."""
        return self._ask("POST", "execute/sync", {"script": script, "args": []})

    def await_text(self, words: str, seconds: float = 30) -> None:
        """Wait until words are seen on the page."""
        try:
            wait_for(f"{words!r} on the page", lambda: words in self.text(), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe page {self.url} shows:\n{self.text()}") from None


@contextmanager
def browser() -> Iterator[Page]:
    """Run a browser during the block."""
    driver = shutil.which("chromedriver")
    assert driver, "there is no chromedriver: install Debian's chromium-driver"
    process = subprocess.Popen(
        [driver, f"--port={PORT}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    page = Page(f"http://127.0.0.1:{PORT}")
    try:
        ready = f"http://127.0.0.1:{PORT}/status"
        wait_for("chromedriver", lambda: requests.get(ready, timeout=2).status_code == 200)
        page.start()
        try:
            yield page
        finally:
            page.close()
    finally:
        process.terminate()
        process.wait(timeout=10)
