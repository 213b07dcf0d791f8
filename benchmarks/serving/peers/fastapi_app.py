"""A plain FastAPI service: a model opened at the start, an endpoint that is a function, uvicorn with workers."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serving.peers.model import Model, arguments

models: dict[str, Model] = {}


class RecommendRequest(BaseModel):
    """Who asks, and for how much."""

    user_id: str
    k: int = 20


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the model before the first request."""
    models["recommender"] = Model(Path(os.environ["PEER_BUNDLE"]), os.environ["PEER_STATE"])
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthy")  # type: ignore[untyped-decorator]  # FastAPI lives in the peers' environment alone
def healthy() -> dict[str, bool]:
    """Ready once the model is open."""
    return {"healthy": True}


@app.post("/v1/recommend")  # type: ignore[untyped-decorator]
def recommend(request: RecommendRequest) -> dict[str, Any]:
    """The items for a user."""
    return models["recommender"].recommend(request.user_id, request.k)


if __name__ == "__main__":
    given = arguments()
    os.environ.update(PEER_BUNDLE=str(given.bundle), PEER_STATE=given.state)
    uvicorn.run("benchmarks.serving.peers.fastapi_app:app", port=given.port, workers=given.workers, log_level="warning")
