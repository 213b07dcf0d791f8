"""CLDR's plural rules for whole numbers: `v = 0 and i % 10 = 2..4 and i % 100 != 12..14`.

The syntax is that of Unicode Technical Standard 35, part 3, section 5. Reasons count only whole things, so that n and i
are the number, and v, f and t, which tell of fractions, are 0.
"""

import re
from collections.abc import Mapping

from features.errors import ConfigError

_RELATION = re.compile(r"(?P<operand>[nivft])\s*(?:%\s*(?P<modulus>\d+)\s*)?(?P<sign>!?=)\s*(?P<values>[\d.,\s]+)")


def category(number: int, rules: Mapping[str, str]) -> str:
    """The plural category of a number, not below 0; `other` when no rule holds."""
    return next((name for name, rule in rules.items() if rule and _holds(rule, number)), "other")


def check_rule(rule: str) -> None:
    """Raises ConfigError for a text that is no rule."""
    for one in _relations(rule):
        if not _RELATION.fullmatch(one):
            raise ConfigError(f"{one!r} is no plural rule", hint="Copy the language's rules from CLDR's plurals.xml.")


def _relations(rule: str) -> list[str]:
    return [part.strip() for either in rule.split(" or ") for part in either.split(" and ")] if rule else []


def _holds(rule: str, number: int) -> bool:
    return any(all(_true(one.strip(), number) for one in either.split(" and ")) for either in rule.split(" or "))


def _true(relation: str, number: int) -> bool:
    found = _RELATION.fullmatch(relation)
    assert found is not None
    operand = number if found["operand"] in "ni" else 0
    value = operand % int(found["modulus"]) if found["modulus"] else operand
    ranges = [one.strip().split("..") for one in found["values"].split(",")]
    inside = any(int(one[0]) <= value <= int(one[-1]) for one in ranges)
    return inside == (found["sign"] == "=")
