"""What both peers serve: the bundle's graphs and index through the product's own library, without its service."""

import argparse
import time
from pathlib import Path
from typing import Any

from features.moments import SECOND
from serving.answers import Query
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from serving.state import open_state


class Model:
    """Reads a person from the store and recommends."""

    def __init__(self, bundle: Path, state: str) -> None:
        self._pipeline = Pipeline(open_bundle(bundle))
        self._state = open_state(state)

    def recommend(self, user_id: str, k: int) -> dict[str, Any]:
        """The list of a user, as JSON has it."""
        person = self._state.person(user_id)
        moment = max([round(time.time() * SECOND), *person.events.moments[-1:].tolist()])
        answer = self._pipeline.recommend(person, Query(k=k), moment)
        return {
            "items": [
                {
                    "item_id": one.item_id,
                    "title": one.title,
                    "score": one.score,
                    "probabilities": one.probabilities,
                    "source": one.sources[0] if one.sources else None,
                }
                for one in answer.items
            ]
        }


def arguments() -> argparse.Namespace:
    """The command line of a peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    return parser.parse_args()
