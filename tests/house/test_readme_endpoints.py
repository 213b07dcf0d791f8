"""The endpoints on the pages are those that the service answers: none invented, none forgotten."""

import re
from pathlib import Path

from serving.api.endpoints import ENDPOINTS
from serving.service import ROUTES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLES = (ROOT / "docs" / "endpoints.md").read_text(encoding="utf-8")
ACCESS = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
ROUTE = r"/v1/[a-z]+(?:[/-][a-z]+)*"


def test_readme_names_exactly_the_routes_of_the_service() -> None:
    assert set(re.findall(ROUTE, README)) == {route for route in ROUTES if route.startswith("/v1/")}


def test_readme_tells_the_scope_of_each() -> None:
    told = re.findall(rf"^\| `({ROUTE})` \|.*\| ([a-z]+) \|$", README, re.MULTILINE)
    assert sorted(told) == sorted((one.path, one.scope) for one in ENDPOINTS)


def test_each_is_shown_with_an_answer() -> None:
    shown = set(re.findall(rf"\*\*`POST ({ROUTE})`\*\*", SAMPLES + ACCESS))
    assert shown == {one.path for one in ENDPOINTS}


def test_the_page_on_access_names_every_call_that_is_audited() -> None:
    rows = re.findall(r"^\| (`/v1/.*) \| (`.*`) \| .*\|$", ACCESS, re.MULTILINE)
    told = {path: name for paths, names in rows for path, name in zip(quoted(paths), quoted(names), strict=True)}
    assert told == {one.path: one.name for one in ENDPOINTS if one.audited}


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
