"""The one form of errors, which every refusal of the service must have."""

from typing import Any

import httpx


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, which must be the one form, with nothing of Python in it."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert {"code", "message", "request_id"} <= set(error) <= {"code", "message", "field", "hint", "request_id"}
    assert "Traceback" not in response.text
    assert response.headers["x-tailorbird-worker"]
    return error
