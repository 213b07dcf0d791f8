"""A LitServe service: setup, decode, predict, encode, and so many workers on the CPU."""

from pathlib import Path
from typing import Any

import litserve

from benchmarks.serving.peers.model import Model, arguments


class RecommendApi(litserve.LitAPI):  # type: ignore[misc]  # LitServe has no types here
    """The recommender as LitServe asks for it."""

    def __init__(self, bundle: Path, state: str) -> None:
        super().__init__(api_path="/v1/recommend")
        self._bundle = bundle
        self._state = state

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Open the model, once in each worker."""
        self._model = Model(self._bundle, self._state)

    def decode_request(self, request: dict[str, Any]) -> tuple[str, int]:
        """User and length of the list."""
        return request["user_id"], request.get("k", 20)

    def predict(self, asked: tuple[str, int]) -> dict[str, Any]:
        """The list."""
        return self._model.recommend(*asked)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


if __name__ == "__main__":
    given = arguments()
    api = RecommendApi(given.bundle, given.state)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=given.workers, timeout=False)
    server.run(host="127.0.0.1", port=given.port, generate_client_file=False, log_level="warning")
