"""The page in a real browser: a person's history and picks with reasons, and what a stranger sees."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

pytestmark = pytest.mark.slow

BROWSER = shutil.which("chromium")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


class Browser:
    """One window, told what to do over the debugging pipe: the Chrome DevTools Protocol, a message up to a NUL byte."""

    def __init__(self, profile: Path) -> None:
        if BROWSER is None:
            pytest.skip("chromium is not installed")
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        command = ["bash", "-c", script, str(BROWSER), *QUIET, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._rest, self._number, self._session = b"", 0, ""
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.tell("Page.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._to)
        os.close(self._from)

    def tell(self, method: str, **parameters: Any) -> Any:
        """What a command answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps({**message, **session}).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        assert "result" in answer, answer
        return answer["result"]

    def open(self, url: str, width: int = 1280, height: int = 900) -> None:
        """Open a page in a window of so many pixels."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.tell("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression, which may be a promise."""
        found = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a condition holds, at most 20 seconds."""
        until = time.monotonic() + 20
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < until, condition
            time.sleep(0.05)

    def picture(self, path: Path) -> None:
        """A picture of the whole page."""
        found = self.tell("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._from, 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]


def rendered(url: str, profile: Path) -> str:
    """The page's document after its scripts ran."""
    if BROWSER is None:
        pytest.skip("chromium is not installed")
    command = [BROWSER, *QUIET, "--virtual-time-budget=10000", f"--user-data-dir={profile}", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def section(document: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', document, re.DOTALL)
    assert found, document[:500]
    return found[1]


def test_a_person_sees_history_and_picks_with_reasons(served: Any, tmp_path: Path) -> None:
    document = rendered(f"{served.url}/?user={served.user}", tmp_path)
    history = httpx.post(f"{served.url}/v1/profile", json={"user_id": served.user, "newest": 25}).json()
    picks = httpx.post(f"{served.url}/v1/recommend", json={"user_id": served.user, "k": 18}).json()
    assert history["events"][0]["title"] in section(document, "history")
    assert section(document, "history").count("<li") == 25
    shown = section(document, "picks")
    assert shown.count("<li") == 18
    assert all(item["title"] in shown for item in picks["items"])
    assert shown.count('class="tag"') == 18
    assert re.search(r"(Often chosen after|It is like|in your history)", shown)


def test_a_stranger_sees_picks_too(served: Any, tmp_path: Path) -> None:
    document = rendered(served.url, tmp_path)
    assert section(document, "picks").count("<li") == 18
    assert "this is what a stranger sees" in section(document, "history")


def test_a_name_that_is_markup_is_shown_as_text(served: Any, tmp_path: Path) -> None:
    document = rendered(f"{served.url}/?user=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", tmp_path)
    assert "What should &lt;img src=x" in document


def test_the_page_asks_nobody_but_the_service(served: Any) -> None:
    page = httpx.get(served.url).text
    assert not re.findall(r"https?://|//[a-z]+\.", page)
    assert "default-src 'none'" in page


READY = "document.querySelectorAll('#picks li').length > 0 && !document.getElementById('controls').hidden"


def told(served: Any) -> dict[str, Any]:
    answer = httpx.post(f"{served.url}/v1/preferences", json={"user_id": served.user})
    return answer.json()  # type: ignore[no-any-return]


def test_a_person_steers_their_lists_on_the_page(served: Any, tmp_path: Path) -> None:
    """Hide a category and an item, lower the strength, take the hiding back; on a narrow window nothing overflows."""
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"{served.url}/?user={served.user}")
        browser.until(READY)
        browser.picture(tmp_path / "wide.png")
        browser.run("document.querySelector('.chip').click()")
        browser.until("document.querySelectorAll('.chip[aria-pressed=true]').length === 1")
        assert [(one["say"], "attribute" in one) for one in told(served)["preferences"]] == [("hide", True)]
        first = browser.run("document.querySelector('#picks .what').textContent")
        browser.run("document.querySelector('#picks .away').click()")
        browser.until("document.querySelectorAll('.chip[aria-pressed=true]').length === 2")
        names = "[...document.querySelectorAll('#picks .what')].map(one => one.textContent)"
        browser.until(f"!{names}.includes({json.dumps(first)})")
        slider = "document.getElementById('strength')"
        events = "".join(f"{slider}.dispatchEvent(new Event('{name}'));" for name in ("input", "change"))
        moved = f"{slider}.value = 40; {events}"
        browser.run(moved)
        browser.until("!document.getElementById('strength').disabled")
        assert told(served)["strength"] == 0.4
        browser.open(f"{served.url}/?user={served.user}", width=390, height=844)
        browser.until(READY)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        assert browser.run(f"{slider}.value + document.querySelector('#controls output').textContent") == "4040 %"
        browser.picture(tmp_path / "narrow.png")
        for left in (1, 0):
            browser.run("document.querySelector('.chip[aria-pressed=true]').click()")
            browser.until(f"document.querySelectorAll('.chip[aria-pressed=true]').length === {left}")
    assert told(served)["preferences"] == []
    httpx.post(f"{served.url}/v1/preferences", json={"user_id": served.user, "strength": 1.0})


def test_a_person_leaves_on_the_page(served: Any, tmp_path: Path) -> None:
    event = {"event_id": "e-leaver", "user_id": "leaver", "item_id": "i00001", "type": "view"}
    assert httpx.post(f"{served.url}/v1/events", json={"events": [event]}).json()["stored"] == 1
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"{served.url}/?user=leaver")
        browser.until(f"{READY} && document.querySelector('#history li') && document.querySelector('.plain')")
        browser.run("window.confirm = () => true; document.querySelector('.plain').click()")
        browser.until("document.querySelector('footer').textContent.startsWith('erased ')")
        assert browser.run("document.querySelectorAll('#history li').length") == 0
