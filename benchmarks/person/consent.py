"""What asking for consent costs: the same requests with the read of the statements and without, in turn, in one run.

python -m benchmarks.person.consent --bundle BUNDLE --state URL [--users 200] [--rounds 5]
"""

import argparse
import json
import statistics
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter

from features.consent import Purpose
from features.statements import BEGINNING, Statement
from serving.api.requests import RecommendRequest
from serving.bundle import open_bundle
from serving.desk.desk import Desk
from serving.pipeline import Pipeline
from serving.state import open_item_log, open_state

AGREED = [Statement("consent", purpose.value, "granted", BEGINNING, "benchmark") for purpose in Purpose]


def measure(desk: Desk, users: list[str], rounds: int) -> dict[str, float]:
    """Median milliseconds of a request with and without the read, and of the read alone."""
    state, read = desk.state, desk.state.statements
    requests = [RecommendRequest(user_id=user) for user in users]
    with_read, without_read, alone = [], [], []
    for _ in range(rounds):
        for request in requests:
            with_read.append(_milliseconds(desk.recommend, request, "r"))
            state.statements = lambda *_: AGREED  # type: ignore[method-assign]
            without_read.append(_milliseconds(desk.recommend, request, "r"))
            state.statements = read  # type: ignore[method-assign]
            alone.append(_milliseconds(read, request.user_id))
    return {
        "with the read": round(statistics.median(with_read), 3),
        "without the read": round(statistics.median(without_read), 3),
        "the read alone": round(statistics.median(alone), 3),
        "requests": len(with_read),
    }


def _milliseconds(work: Callable[..., object], *given: object) -> float:
    start = perf_counter()
    work(*given)
    return (perf_counter() - start) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    desk = Desk(Pipeline(open_bundle(asked.bundle)), open_state(asked.state), open_item_log(asked.state))
    users = list(islice(desk.state.user_ids(), asked.users))
    measure(desk, users[:20], 1)
    print(json.dumps(measure(desk, users, asked.rounds), indent=1))
    desk.close()


if __name__ == "__main__":
    main()
