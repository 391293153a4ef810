"""Answers in JSON, encoded once by orjson, and refusals; the only place that knows status codes."""

from typing import Any

import orjson
from starlette.responses import Response

from fare_chain.errors import Conflict, Malformed, Overloaded, Unknown, Untrusted


class Unidentified(Untrusted):
    """A request without a token, or with one that does not hold."""


STATUS = {Unidentified: 401, Malformed: 400, Untrusted: 403, Unknown: 404, Conflict: 409, Overloaded: 503}


class Json(Response):
    """A JSON answer; money in whole fen."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode; keys keep the order in which they were put."""
        return orjson.dumps(content)


class Problem(Json):
    """A refusal (RFC 9457)."""

    media_type = "application/problem+json"


def refusal(error: Exception) -> Response:
    """A refusal as problem+json (RFC 9457): its name, its sentence, its status; 401 asks for a token (RFC 6750)."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status, {}) | {"Cache-Control": "no-store"}
    problem = {"type": "about:blank", "title": type(error).__name__, "status": status, "detail": str(error)}
    return Problem(problem, status_code=status, headers=headers)
