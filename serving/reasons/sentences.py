"""Reasons and obstacles as sentences."""

from dataclasses import asdict
from typing import Any

from serving.answers import Obstacle, Reason, Standing
from serving.reasons.wording import Language, Words


def sentence_of(reason: Reason, language: Language) -> str:
    """Why, in words."""
    code = "protected_attribute" if reason.protected else reason.code
    values: dict[str, Any] = asdict(reason)
    values["title"] = language.quoted(reason.title or reason.item_id or "")
    said = reason.value or "" if reason.moment is None else language.when(reason.moment)
    values["value"] = language.quoted(said)
    return language.say(language.reasons[code], values)


def shown_sentence(standing: Standing, words: Words) -> str:
    """That an item is in the list."""
    return obstacle_sentence(standing, Obstacle("shown"), words)


def obstacle_sentence(standing: Standing, one: Obstacle, words: Words) -> str:
    """What keeps an item out of the list, and what would have to differ."""
    values: dict[str, Any] = asdict(one)
    for name, moment in (("since", one.since), ("until", one.until), ("event_time", one.event_moment)):
        values[name] = "" if moment is None else words.language.when(moment) if words.timed else str(moment)
    needed, score = _apart(one.needed, standing.score)
    values |= {"place": standing.place, "k": standing.k, "needed": needed, "score": score}
    values["event_type"] = words.language.quoted(one.event_type or "")
    return words.language.say(words.language.stops[_key(one)], values)


def _key(one: Obstacle) -> str:
    match one.stop:
        case "unavailable":
            return "not_yet" if one.until is not None else "no_longer"
        case "taken" if one.until is None:
            return "taken_for_good"
    return one.stop


def _apart(needed: float | None, score: float | None) -> tuple[str, str]:
    """Two scores with as many digits as it takes to tell them apart."""
    if needed is None or score is None:
        return "", ""
    pairs = ((f"{needed:.{digits}g}", f"{score:.{digits}g}") for digits in range(3, 17))
    return next((pair for pair in pairs if pair[0] != pair[1]), (repr(needed), repr(score)))
