"""`implicit`: ALS, and item-item neighbours weighted by BM25, with settings chosen on the last event of each user.

Settings are tried in a fixed order while less than `CHOOSING` of the budget is used; the best by NDCG is then fitted
on everything.
"""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from scipy.sparse import csr_matrix

from benchmarks.accuracy.peers.job import Job

CHOOSING = 0.7
BATCH = 1_000


def grid(system: str) -> list[dict[str, Any]]:
    """Settings to be tried, the most promising first."""
    if system == "implicit-bm25":
        values = itertools.product((50, 100, 200, 500), (1.2, 10.0, 100.0), (0.2, 0.5, 0.8))
        return [{"K": neighbours, "K1": k1, "B": b} for neighbours, k1, b in values]
    values = itertools.product((64, 128, 256), (0.01, 0.1, 1.0), (1.0, 5.0, 20.0))
    return [
        {"factors": size, "regularization": decay, "alpha": alpha, "iterations": 20} for size, decay, alpha in values
    ]


def fitted(system: str, settings: dict[str, Any], matrix: csr_matrix, seed: int) -> Any:
    """A model of users' items, float32 [U, I]."""
    kind = (
        BM25Recommender(**settings)
        if system == "implicit-bm25"
        else AlternatingLeastSquares(**settings, random_state=seed)
    )
    kind.fit(matrix, show_progress=False)
    return kind


def lists(model: Any, matrix: csr_matrix, users: np.ndarray, k: int) -> Iterator[tuple[int, list[int]]]:
    """Each user's best items that are new to them; fewer than k where the model has no evidence for more."""
    for start in range(0, len(users), BATCH):
        batch = users[start : start + BATCH]
        found, scores = model.recommend(batch, matrix[batch], N=k, filter_already_liked_items=True)
        for user, items, values in zip(batch, found, scores, strict=True):
            real = (items >= 0) & (values > -1e30) & ~np.isin(items, matrix[user].indices)  # BM25 pads with seen items
            yield int(user), list(dict.fromkeys(items[real].tolist()))


def ndcg(model: Any, matrix: csr_matrix, targets: np.ndarray, k: int) -> float:
    """Mean NDCG of the one target int64 [U] of every user."""
    total = 0.0
    for user, items in lists(model, matrix, np.arange(len(targets)), k):
        if targets[user] in items:
            total += 1 / np.log2(items.index(targets[user]) + 2)
    return total / len(targets)


def main(job: Job) -> None:
    """Choose, fit, write lists."""
    started = time.perf_counter()
    events = job.events()
    users, user_ids = pd.factorize(events["user_id"])
    items, item_ids = pd.factorize(events["item_id"])
    shape = (len(user_ids), len(item_ids))
    settings, tried = chosen(job, users, items, shape, started)
    matrix = counts(users, items, shape)
    model = fitted(job.system, settings, matrix, job.seed)
    train_seconds = time.perf_counter() - started
    wanted = pd.Index(user_ids).get_indexer(pd.Index(job.users()))
    rows = [
        (user_ids[user], item_ids[item], rank)
        for user, best in lists(model, matrix, wanted[wanted >= 0], job.k)
        for rank, item in enumerate(best, start=1)
    ]
    job.write_lists(*map(list, zip(*rows, strict=True)))
    detail = {"tried": len(tried), "grid": len(grid(job.system)), "inner_ndcg": round(max(tried), 5)}
    job.tell(train_seconds, detail, **settings)


def chosen(
    job: Job, users: np.ndarray, items: np.ndarray, shape: tuple[int, int], started: float
) -> tuple[dict[str, Any], list[float]]:
    """The settings that predict every user's last event best, and the NDCG of all that were tried."""
    last = np.append(users[1:] != users[:-1], True)
    targets = np.empty(shape[0], dtype=np.int64)
    targets[users[last]] = items[last]
    inner = counts(users[~last], items[~last], shape)
    found: list[float] = []
    for settings in grid(job.system):
        found.append(ndcg(fitted(job.system, settings, inner, job.seed), inner, targets, job.k))
        if time.perf_counter() - started > CHOOSING * job.budget_seconds:
            break
    return grid(job.system)[int(np.argmax(found))], found


def counts(users: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    """float32 [U, I]: how often each user took each item."""
    return csr_matrix((np.ones(len(users), dtype=np.float32), (users, items)), shape=shape)


if __name__ == "__main__":
    main(Job.of_command())
