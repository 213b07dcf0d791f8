"""The page in a real browser: a person's history and picks with reasons, and what a stranger sees."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

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
    "--virtual-time-budget=10000",
)


def rendered(url: str, profile: Path) -> str:
    """The page's document after its scripts ran."""
    if BROWSER is None:
        pytest.skip("chromium is not installed")
    command = [BROWSER, *QUIET, f"--user-data-dir={profile}", "--dump-dom", url]
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
