"""A person who does not agree to train is in nothing that a training reads or makes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from features.consenting import trainable
from features.events import AttributeTable, Tables
from features.imported_consent import ImportedConsent
from features.statements import Statement
from serving.bundle import open_bundle
from training.config import TrainingConfig
from training.run import train_on
from training.run_folder import Run, claim_folder, note_consent
from training.stage import part_of, schema_of
from training.statistics import fit_statistics, item_rows

SMALLER = {"tower_fit": {"max_epochs": 1}, "ranker_fit": {"max_examples": 100, "epochs": 1}}


def refusing(tables: Tables, *users: str) -> Tables:
    """The tables with people who withdrew."""
    assert tables.consent is not None
    no = Statement("consent", "train", "denied", 1, "person")
    return replace(tables, consent=ImportedConsent(tables.consent.assumed, dict.fromkeys(users, (no,))))


def without(tables: Tables, *users: str) -> Tables:
    """What a company would have read that never met these people: rows taken out one by one, codes made anew."""
    events = tables.events
    rows = [row for row, code in enumerate(events.user_codes.tolist()) if events.users[code] not in users]
    user_ids = sorted({str(events.users[events.user_codes[row]]) for row in rows})
    item_ids = sorted({str(events.items[events.item_codes[row]]) for row in rows})
    kept = events.where(np.isin(np.arange(len(events)), rows))
    codes: dict[str, Any] = {
        "users": np.array(user_ids, dtype=object),
        "items": np.array(item_ids, dtype=object),
        "user_codes": np.array([user_ids.index(events.users[events.user_codes[row]]) for row in rows]),
        "item_codes": np.array([item_ids.index(events.items[events.item_codes[row]]) for row in rows]),
    }
    return replace(tables, events=replace(kept, **codes), users=_users_without(tables.users, users))


def _users_without(table: AttributeTable, users: tuple[str, ...]) -> AttributeTable:
    rows = [row for row, user in enumerate(table.ids) if user not in users]
    place = {row: at for at, row in enumerate(rows)}
    changes = {}
    for name, one in table.changes.items():
        kept = one.where(np.isin(one.entity_codes, rows))
        changes[name] = replace(kept, entity_codes=np.array([place[code] for code in kept.entity_codes.tolist()]))
    return AttributeTable(table.ids[rows], {name: one[rows] for name, one in table.columns.items()}, changes)


def refusers(tables: Tables) -> tuple[str, ...]:
    """The most active user, and one of the least."""
    counts = np.bincount(tables.events.user_codes)
    return str(tables.events.users[counts.argmax()]), str(tables.events.users[counts.argmin()])


def test_the_inputs_are_those_of_a_company_that_never_met_them(trained: Any, tmp_path: Path) -> None:
    config: TrainingConfig = trained.config
    names = refusers(trained.tables)
    part = trainable(config.dataset, refusing(trained.tables, *names))
    other = without(trained.tables, *names)
    for name in ("users", "items", "user_codes", "item_codes", "type_codes", "moments", "values", "event_ids"):
        np.testing.assert_array_equal(getattr(part.events, name), getattr(other.events, name))
    np.testing.assert_array_equal(part.users.ids, other.users.ids)
    for name, one in part.users.changes.items():
        np.testing.assert_array_equal(one.entity_codes, other.users.changes[name].entity_codes)
    first, second = (Run.of(config, tables, tmp_path) for tables in (part, other))
    np.testing.assert_array_equal(first.slices.codes, second.slices.codes)
    np.testing.assert_array_equal(first.held_back, second.held_back)
    everything = np.ones(len(part.events), dtype=bool)
    known = [part_of(config.dataset, tables, everything) for tables in (part, other)]
    schemas = [schema_of(config.dataset, one) for one in known]
    assert schemas[0].fingerprint == schemas[1].fingerprint
    for pair in zip(*(_statistics(config, *one) for one in zip(schemas, known, strict=True)), strict=True):
        np.testing.assert_array_equal(*pair)


def _statistics(config: TrainingConfig, schema: Any, known: Tables) -> list[np.ndarray]:
    found = fit_statistics(schema, known.events, config.recent_half_life_days)
    return [np.asarray(found.popularity), item_rows(schema, known.events)]


def test_a_run_tells_how_much_it_left_out(trained: Any, tmp_path: Path) -> None:
    names = refusers(trained.tables)
    tables = refusing(trained.tables, *names)
    part = trainable(trained.config.dataset, tables)
    note_consent(tmp_path, tables, part)
    note = yaml.safe_load((tmp_path / "consent.json").read_text(encoding="utf-8"))
    assert note["users_left_out"] == len(names)
    assert note["events_left_out"] == len(tables.events) - len(part.events) > 0
    assert note["assumed"] == ["assumed: simulated people"]


def test_a_withdrawal_makes_another_training(trained: Any, tmp_path: Path) -> None:
    """A run that was begun before somebody withdrew is not gone on with."""
    claim_folder(tmp_path, trained.config, trainable(trained.config.dataset, trained.tables))
    later = trainable(trained.config.dataset, refusing(trained.tables, *refusers(trained.tables)))
    with pytest.raises(Exception, match="holds a training with another data"):
        claim_folder(tmp_path, trained.config, later)


@pytest.mark.slow
def test_the_bundle_is_that_of_a_company_that_never_met_them(trained: Any, tmp_path: Path) -> None:
    content = trained.config.model_dump(mode="json", by_alias=True)
    for section, values in SMALLER.items():
        content[section] = {**content[section], **values}
    config = TrainingConfig.parse(content)
    names = refusers(trained.tables)
    part = trainable(config.dataset, refusing(trained.tables, *names))
    other = replace(without(trained.tables, *names), fingerprint=part.fingerprint)
    first, second = (open_bundle(train_on(config, one, tmp_path / name)) for name, one in (("a", part), ("b", other)))
    assert first.schema.fingerprint == second.schema.fingerprint
    np.testing.assert_array_equal(first.catalogue.vectors, second.catalogue.vectors)
    for name in ("user_tower.onnx", "ranker.onnx"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
