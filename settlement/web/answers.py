"""Answers in JSON, encoded once by orjson."""

from typing import Any

import orjson
from starlette.responses import Response


class Json(Response):
    """A JSON answer; money in whole fen."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode; keys keep the order in which they were put."""
        return orjson.dumps(content)


class Problem(Json):
    """A refusal (RFC 9457)."""

    media_type = "application/problem+json"
