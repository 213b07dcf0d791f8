"""The configuration with which Tailorbird reads a simulated world; its paths start at its own folder."""

from pathlib import Path
from typing import Any

import yaml

from training.simulator.reactions import PLAY_RESTS_DAYS, PURCHASE_RESTS_DAYS, SKIP_RESTS_DAYS
from training.simulator.settings import SimulatorSettings

_HEADER = """\
# A simulated {world} world: about {events:,} events of {users:,} people with {items:,} items in {days} days.
# Written by `tailorbird simulate`; the settings are in simulation.json.
"""


def write_config(settings: SimulatorSettings, path: Path) -> None:
    """Write the `dataset` section as YAML."""
    header = _HEADER.format(**settings.model_dump())
    body = yaml.safe_dump({"dataset": dataset(settings)}, sort_keys=False, default_flow_style=None, width=110)
    path.write_text(header + body, encoding="utf-8")


def dataset(settings: SimulatorSettings) -> dict[str, Any]:
    """The `dataset` section: tables, columns, roles, and what each event type means."""
    return {
        "consent": {"assume": "granted", "basis": "simulated people"},
        "order": {"time": "timestamp"},
        "events": {
            "path": "events.parquet",
            "id": "event_id",
            "user": "user_id",
            "item": "item_id",
            "type": "event_type",
            "value": "value",
            "session": "session_id",
            "context": {"device": {"role": "categorical"}},
        },
        "types": _types(null=settings.world == "null"),
        "users": {"path": "users.parquet", "id": "user_id", "columns": _user_columns()},
        "items": {
            "path": "items.parquet",
            "id": "item_id",
            "title": "title",
            "columns": _item_columns(),
            "available": {"from": "published_at", "to": "available_until"},
        },
    }


def _types(null: bool) -> dict[str, Any]:
    """Repeat rules are those by which the people live; in the null world nobody remembers what was taken."""
    rests = {"play": PLAY_RESTS_DAYS, "purchase": PURCHASE_RESTS_DAYS, "skip": SKIP_RESTS_DAYS}
    repeats = {} if null else {name: {"after_days": days} for name, days in rests.items()}
    meaning = {
        "impression": ("exposure", 0.0),
        "view": ("positive", 1.0),
        "play": ("positive", 1.0),
        "cart": ("positive", 2.0),
        "purchase": ("positive", 3.0),
        "skip": ("negative", 1.0),
        "return": ("negative", 1.0),
    }
    return {
        name: {"weight": weight, "sign": sign, "repeat": repeats.get(name, "always")}
        for name, (sign, weight) in meaning.items()
    }


def _user_columns() -> dict[str, Any]:
    return {
        "gender": {"role": "categorical", "static": True, "protected": True},
        "birth_date": {"role": "birth_date", "static": True, "protected": True},
        "country": {"role": "categorical", "static": True},
        "plan": {"role": "categorical", "time": "changed_at", "path": "user_plans.parquet"},
    }


def _item_columns() -> dict[str, Any]:
    return {
        "kind": {"role": "categorical", "static": True},
        "category": {"role": "categorical", "static": True},
        "creator": {"role": "categorical", "static": True},
        "tags": {"role": "multi_categorical", "separator": "|", "static": True},
        "title": {"role": "text", "static": True},
        "duration": {"role": "numeric", "static": True},
        "price": {"role": "numeric", "time": "changed_at", "path": "item_prices.parquet"},
        "published_at": {"role": "time", "static": True},
    }
