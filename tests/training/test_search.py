"""A search begins with what was given, never answers worse, keeps to its time, and goes on where it was broken off."""

from pathlib import Path

import numpy as np
import pytest

from features.arrays import FloatArray
from training.config import TrainingConfig
from training.tuning.search import Clock, Found, Objective, OutOfTimeError, Search, Watch
from training.tuning.search_space import (
    RANKER_SPACE,
    TOWER_SPACE,
    Choice,
    Range,
    Space,
    changed,
    distributions,
    given,
    rounded,
)

CONFIG = TrainingConfig.parse(
    {"dataset": {"order": {"sequence": "n"}, "events": {}, "types": {"view": {}}}, "towers": {"dropout": 0.45}}
)
SPACE: Space = (Range("towers.dropout", 0.0, 0.4), Choice("towers.blocks", (1, 2, 3)))
PEOPLE = 50


class Trials(Clock):
    """A clock on which every trial takes a second."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.trials = 0

    @property
    def spent(self) -> float:
        return self.trials

    def save(self) -> None:
        self.trials += 1


def people(figure: float) -> FloatArray:
    return np.full(PEOPLE, figure, dtype=np.float32)


def planted(config: TrainingConfig, _: Watch, folder: Path) -> FloatArray:
    """Best without dropout and with three blocks."""
    (folder / "last.ckpt").touch()
    return people(config.towers.blocks / 10 - config.towers.dropout / 10)


def searched(folder: Path, objective: Objective, trials: int, space: Space = SPACE) -> Found:
    """The outcome of a search in which at least the given configuration was judged."""
    found = Search(folder / "study", space, CONFIG).run(objective, Trials(folder / "seconds"), trials)
    assert found is not None
    return found


def test_it_begins_with_what_was_given_and_finds_what_is_planted(tmp_path: Path) -> None:
    found = searched(tmp_path, planted, 25)
    assert found.trials[0] == found.given
    assert found.given.changes == {"towers.dropout": 0.45, "towers.blocks": 2}
    assert found.best.changes["towers.blocks"] == 3
    assert found.best.changes["towers.dropout"] < 0.1
    best, first = found.gains
    assert best.mean() > first.mean()
    assert best.mean() == pytest.approx(found.best.figure)
    assert set(found.importance) == {"towers.dropout", "towers.blocks"}


def test_where_nothing_is_better_the_answer_is_what_was_given(tmp_path: Path) -> None:
    def only_given(config: TrainingConfig, *_: object) -> FloatArray:
        return people(1.0 if config == CONFIG else 0.5)

    found = searched(tmp_path, only_given, 8)
    assert found.best == found.given
    assert len(found.trials) == 8


def test_equal_figures_are_no_reason_to_change(tmp_path: Path) -> None:
    found = searched(tmp_path, lambda *_: people(0.3), 4)
    assert found.best == found.given
    assert found.importance == {}


def test_only_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    search = Search(tmp_path / "study", SPACE, CONFIG)
    found = search.run(planted, Trials(tmp_path / "seconds"), 6)
    assert found is not None
    kept = [path.parent for path in (tmp_path / "study").rglob("*.ckpt")]
    assert kept == [search.folder_of(found.best.number)]


def test_what_falls_behind_is_pruned(tmp_path: Path) -> None:
    def slow_or_fast(config: TrainingConfig, watch: Watch, _: Path) -> FloatArray:
        history = list[dict[str, float]]()
        for epoch in range(1, 9):
            watch(history)
            history.append({"ndcg": epoch * (0.1 if config.towers.blocks > 1 else 0.01)})
            watch(history)
        return people(history[-1]["ndcg"])

    found = searched(tmp_path, slow_or_fast, 15)
    pruned = [one for one in found.trials if one.state == "pruned"]
    assert pruned
    assert {one.changes["towers.blocks"] for one in pruned} == {1}
    assert all(one.epochs < 8 for one in pruned)
    assert all(one.epochs == 8 for one in found.trials if one.changes["towers.blocks"] > 1)


class KilledError(Exception):
    """Stands for the end of the process."""


def killed_in(trial: int) -> Objective:
    def objective(config: TrainingConfig, watch: Watch, folder: Path) -> FloatArray:
        if folder.name == str(trial):
            (folder / "half.txt").touch()
            raise KilledError
        return planted(config, watch, folder)

    return objective


@pytest.mark.parametrize("trial", [0, 3])
def test_a_killed_trial_is_begun_again_in_its_folder(tmp_path: Path, trial: int) -> None:
    asked = list[tuple[str, dict[str, object]]]()

    def listened(objective: Objective) -> Objective:
        def heard(config: TrainingConfig, watch: Watch, folder: Path) -> FloatArray:
            asked.append((folder.name, given(SPACE, config)))
            return objective(config, watch, folder)

        return heard

    with pytest.raises(KilledError):
        searched(tmp_path, listened(killed_in(trial)), 6)
    found = searched(tmp_path, listened(planted), 4)
    assert asked[trial] == asked[trial + 1]
    assert found.given.changes == given(SPACE, CONFIG)
    drawn = [values["towers.dropout"] for name, values in asked if name != str(trial)]
    assert len(drawn) == len(set(drawn)), "a seed was used twice"


def until_late(epochs: int) -> Objective:
    """A fit that judges some epochs at once and then goes on for ever."""

    def objective(_: TrainingConfig, watch: Watch, folder: Path) -> FloatArray:
        history = list[dict[str, float]]()
        try:
            while True:
                if len(history) < epochs:
                    history.append({"ndcg": 0.5})
                watch(history)
        except OutOfTimeError:
            if not history:
                raise
            return people(0.5)

    return objective


def test_the_time_ends_a_fit_and_counts_over_all_calls(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "seconds")
    search = Search(tmp_path / "study", SPACE, CONFIG)
    found = search.run(until_late(2), clock, 0.3)
    assert found is not None
    assert [one.epochs for one in found.trials] == [2]
    assert 0.3 <= clock.spent < 3
    again = Search(tmp_path / "study", SPACE, CONFIG).run(until_late(2), Clock(tmp_path / "seconds"), 0.3)
    assert again is not None
    assert len(again.trials) == 1


def test_more_time_goes_on_with_what_was_given(tmp_path: Path) -> None:
    first = Search(tmp_path / "study", SPACE, CONFIG).run(until_late(0), Clock(tmp_path / "seconds"), 0.2)
    assert first is None
    found = Search(tmp_path / "study", SPACE, CONFIG).run(until_late(1), Clock(tmp_path / "seconds"), 0.6)
    assert found is not None
    assert [one.state for one in found.trials] == ["unfinished", "judged"]
    assert found.best == found.given


def test_two_values_that_cannot_go_together_cost_nothing(tmp_path: Path) -> None:
    config = changed(CONFIG, {"towers.heads": 3, "towers.embedding_dim": 48})
    space: Space = (Choice("towers.embedding_dim", (32, 64)), Choice("towers.heads", (3,)))
    found = Search(tmp_path / "study", space, config).run(lambda *_: people(0.1), Trials(tmp_path / "seconds"), 5)
    assert found is not None
    assert {one.state for one in found.trials if one.changes["towers.embedding_dim"] != 48} == {"pruned"}


def test_a_setting_stays_what_it_was_in_the_first_call(tmp_path: Path) -> None:
    assert Search(tmp_path / "study", SPACE, CONFIG).setting("fit_minutes", 2.0) == 2.0
    assert Search(tmp_path / "study", SPACE, CONFIG).setting("fit_minutes", 7.0) == 2.0


def test_the_space_holds_what_was_given() -> None:
    odd = changed(CONFIG, {"towers.dropout": 0.75, "towers.blocks": 9, "tower_fit.learning_rate": 0.5})
    spaces = distributions(TOWER_SPACE, odd)
    for key, value in given(TOWER_SPACE, odd).items():
        assert spaces[key]._contains(spaces[key].to_internal_repr(value)), key


@pytest.mark.parametrize("space", [TOWER_SPACE, RANKER_SPACE], ids=["towers", "ranker"])
def test_every_key_of_the_space_can_be_set(space: Space) -> None:
    values = {one.key: one.values[-1] if isinstance(one, Choice) else one.high for one in space}
    assert given(space, changed(CONFIG, values)) == values
    assert changed(CONFIG, {}) == CONFIG


def test_drawn_numbers_are_legible() -> None:
    assert rounded({"a": 0.00234567, "b": 3}) == {"a": 0.00235, "b": 3}
