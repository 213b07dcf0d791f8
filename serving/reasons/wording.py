"""The languages of reasons: one file each in `languages/`, which is all that another language takes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple, TypeAlias, get_args

import yaml

from features.errors import ConfigError
from features.moments import DAY, SECOND, to_text
from serving.answers import Code
from serving.reasons.plurals import category, check_rule

FOLDER = Path(__file__).parent / "languages"
REASONS = (*get_args(Code), "protected_attribute")
STOPS = (
    "shown",
    "unknown",
    "not_yet",
    "no_longer",
    "deleted",
    "excluded",
    "taken",
    "taken_for_good",
    "filter",
    "not_found",
    "ranked_low",
)
REASON_VALUES = ("title", "times", "name", "value", "place", "count", "days")
STOP_VALUES = ("place", "k", "score", "needed", "since", "until", "event_type", "event_time", "condition")
DATE_VALUES = ("day", "month", "year")
TIME_VALUES = ("date", "time")
"""What sentences may hold, and what dates and times may."""
Template: TypeAlias = str | Mapping[str, str]


class Language(NamedTuple):
    """Everything that one file says."""

    name: str
    """Such as `pl` or `pt-BR`."""
    plurals: Mapping[str, str]
    """CLDR's rules by category."""
    quotes: tuple[str, str]
    months: tuple[str, ...]
    """Twelve names, in the form that they take in a date."""
    date: str
    """How day, month and year stand together."""
    moment: str
    """How a date and a time, in UTC, do."""
    reasons: Mapping[str, Template]
    stops: Mapping[str, Template]

    def say(self, template: Template, values: Mapping[str, Any]) -> str:
        """A sentence with its values, in the plural that its number takes."""
        if not isinstance(template, str):
            number = int(values[template["by"]])
            template = template.get(f"={number}") or template[category(number, self.plurals)]
        return template.format_map(values)

    def when(self, moment: int) -> str:
        """A date in words, with the time of the day in UTC unless it is midnight."""
        at = datetime.fromtimestamp(moment / SECOND, tz=UTC)
        date = self.date.format(day=at.day, month=self.months[at.month - 1], year=at.year)
        return date if moment % DAY == 0 else self.moment.format(date=date, time=f"{at:%H:%M}")

    def quoted(self, text: str) -> str:
        """A name, so that no sentence has to inflect it."""
        return f"{self.quotes[0]}{text}{self.quotes[1]}"


class Words(NamedTuple):
    """How one answer is told."""

    language: Language
    missing: str | None
    """The language that was asked for in its place, when there are no sentences in it."""
    timed: bool
    """Whether moments are times, and not a mere order."""

    def when(self, moment: int) -> str | None:
        """A moment, written; None for one that is no time."""
        return to_text(moment) if self.timed else None


class Languages:
    """The languages that a service speaks, the first one to everybody who asks for none of them."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises ConfigError for a language that has no file."""
        self._by_name = {name.lower(): read_language(name) for name in names}
        self._first = next(iter(self._by_name.values()))

    def words(self, asked: str | None, *, timed: bool) -> Words:
        """The words for a locale such as pl-PL: that very one, else the one without its region, else the first."""
        parts = asked.lower().replace("_", "-").split("-") if asked else []
        for length in range(len(parts), 0, -1):
            found = self._by_name.get("-".join(parts[:length]))
            if found is not None:
                return Words(found, None, timed)
        return Words(self._first, asked or None, timed)


def known_languages() -> tuple[str, ...]:
    """Names of the languages that have a file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def read_language(name: str) -> Language:
    """The language of a file, held against what sentences need. Raises ConfigError that says what is missing."""
    if name not in known_languages():
        known = ", ".join(known_languages())
        raise ConfigError(
            f"there are no sentences in {name!r}; there are some in {known}",
            field="serving.languages",
            hint=f"Write serving/reasons/languages/{name}.yaml after the model of en.yaml.",
        )
    try:
        content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}.yaml is not valid YAML: {error}", field="serving.languages") from None
    return language_of(name, content)


def language_of(name: str, content: Mapping[str, Any]) -> Language:
    """A language from the content of its file. Raises ConfigError naming a sentence, plural or field that is wrong."""
    try:
        opening, closing = content["quotes"]
        times = content["times"]
        months = tuple(str(one) for one in times["months"])
        dates = (months, str(times["date"]), str(times["moment"]))
        language = Language(name, content["plurals"], (opening, closing), *dates, content["reasons"], content["stops"])
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{name}: must hold plurals, two quotes, times (months, date, moment), reasons and stops",
            field="serving.languages",
        ) from None
    if len(months) != 12:
        raise ConfigError(f"{name}: times.months has {len(months)} names, not 12", field="serving.languages")
    _check(language, f"{name}: times.date", language.date, DATE_VALUES)
    _check(language, f"{name}: times.moment", language.moment, TIME_VALUES)
    for rule in language.plurals.values():
        check_rule(rule)
    for code in REASONS:
        _check(language, f"{name}: reasons.{code}", language.reasons.get(code), REASON_VALUES)
    for code in STOPS:
        _check(language, f"{name}: stops.{code}", language.stops.get(code), STOP_VALUES)
    return language


def _check(language: Language, where: str, template: Template | None, known: Collection[str]) -> None:
    if template is None:
        raise ConfigError(f"{where} has no sentence", field="serving.languages")
    strange = fields_of(template) - set(known)
    if strange:
        message = f"{where} asks for {', '.join(sorted(strange))}; there are {', '.join(sorted(known))}"
        raise ConfigError(message, field="serving.languages")
    absent = [] if isinstance(template, str) else [one for one in ("by", *language.plurals) if one not in template]
    if absent:
        raise ConfigError(f"{where} lacks {', '.join(absent)}", field="serving.languages")


def fields_of(template: Template) -> set[str]:
    """Names of the values that a sentence holds."""
    texts = [template] if isinstance(template, str) else [text for key, text in template.items() if key != "by"]
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}
