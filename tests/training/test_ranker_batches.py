"""Shortened lists keep the target and what the prior puts first, and stand for the whole list on average."""

import numpy as np
import pytest

from training.ranker.batches import ShortLists, WholeLists
from training.ranker.examples import Examples

COUNT, WIDTH, SIZE = 40, 30, 10
PRIOR = np.array([1.0, 0.0], dtype=np.float32)


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Lists of 5 to 30 candidates; the first feature is what the prior reads."""
    draw = np.random.default_rng(0)
    counts = draw.integers(5, WIDTH + 1, COUNT)
    real = np.arange(WIDTH) < counts[:, None]
    return Examples(
        features=(draw.normal(size=(COUNT, WIDTH, 2)) * real[..., None]).astype(np.float32),
        rows=np.where(real, np.arange(WIDTH) + 2 + 100 * np.arange(COUNT)[:, None], 0).astype(np.int32),
        history_rows=np.ones((COUNT, 3), dtype=np.int32),
        targets=draw.integers(0, counts),
        heads=np.ones((COUNT, 1), dtype=np.float32),
        slots=np.where(real, np.arange(WIDTH) + 1, 0).astype(np.int32),
        brought=np.ones(COUNT, dtype=np.bool_),
        asked=COUNT,
    )


def numbers() -> list[int]:
    return list(range(COUNT))


def test_a_short_list_holds_the_target_and_the_first_half_of_the_prior(examples: Examples) -> None:
    batch = ShortLists(examples, np.arange(COUNT), PRIOR, SIZE, seed=1)(numbers())
    assert batch.rows.shape == (COUNT, SIZE)
    for example in range(COUNT):
        whole = examples.rows[example]
        mine = batch.rows[example][batch.weights[example] > 0].tolist()
        assert len(set(mine)) == len(mine)
        assert set(mine) <= set(whole.tolist())
        assert batch.rows[example, batch.targets[example]] == whole[examples.targets[example]]
        assert batch.weights[example, batch.targets[example]] == 1
        real = np.flatnonzero(whole > 0)
        first = real[np.argsort(-examples.features[example, real, 0])][: SIZE // 2]
        assert set(whole[first].tolist()) <= set(mine)


def test_features_stay_with_their_rows(examples: Examples) -> None:
    batch = ShortLists(examples, np.arange(COUNT), PRIOR, SIZE, seed=1)(numbers())
    for example in range(COUNT):
        for place in range(SIZE):
            if batch.weights[example, place]:
                at = np.flatnonzero(examples.rows[example] == int(batch.rows[example, place]))[0]
                np.testing.assert_array_equal(batch.features[example, place], examples.features[example, at])


def test_on_average_a_short_list_stands_for_the_whole(examples: Examples) -> None:
    lists = ShortLists(examples, np.arange(COUNT), PRIOR, SIZE, seed=1)
    real = examples.rows > 0
    others = real & (np.arange(WIDTH) != examples.targets[:, None])
    whole = (np.exp(examples.features[..., 1]) * others).sum(axis=1)
    drawn = []
    for _ in range(600):
        batch = lists(numbers())
        weights = batch.weights.numpy().copy()
        weights[np.arange(COUNT), batch.targets.numpy()] = 0
        drawn.append((np.exp(batch.features[..., 1].numpy()) * weights).sum(axis=1))
    np.testing.assert_allclose(np.mean(drawn, axis=0) / whole, 1, atol=0.06)


def test_whole_lists_are_narrowed_to_the_widest(examples: Examples) -> None:
    some = np.argsort((examples.rows > 0).sum(axis=1))[:3]
    batch = WholeLists(examples, some)([0, 1, 2])
    assert batch.rows.shape[1] == (examples.rows[some] > 0).sum(axis=1).max()
    np.testing.assert_array_equal(batch.weights.numpy() > 0, batch.rows.numpy() > 0)
    np.testing.assert_array_equal(batch.targets, examples.targets[some])


def test_lists_that_are_short_anyway_stay_whole(examples: Examples) -> None:
    batch = ShortLists(examples, np.arange(COUNT), PRIOR, 2 * WIDTH, seed=1)(numbers())
    assert batch.rows.shape[1] == (examples.rows > 0).sum(axis=1).max()
