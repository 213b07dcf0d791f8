"""README's endpoints are those that the service answers: none invented, none forgotten."""

import re
from pathlib import Path

from serving.service import ROUTES

README = Path(__file__).parents[2] / "README.md"


def test_readme_names_exactly_the_routes_of_the_service() -> None:
    named = set(re.findall(r"/v1/[a-z]+(?:[/-][a-z]+)*", README.read_text(encoding="utf-8")))
    assert named == {route for route in ROUTES if route.startswith("/v1/")}
