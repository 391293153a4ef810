"""Who asks, by the signed token of a request: held at the door, before any route, to the address's line in `permits`."""

import time

from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from fare_chain.access_tokens import read_token
from fare_chain.errors import FareChainError, Unknown, Untrusted
from settlement.web.answers import Unidentified, refusal
from settlement.web.parts import parts_of
from settlement.web.permits import OPEN, PERMITS, Caller, Permit, admit, role_of

PRIVATE = {"Cache-Control": "private, no-store"}
"""What only its reader may see stays with its reader."""
_BEARER = "Bearer "


class Door:
    """Asks for a token where the address's line wants one, and lets nothing through that has no line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.fixed = {line: permit for line, permit in PERMITS.items() if "{" not in line}
        self.patterns = [
            (method, compile_path(path)[0], permit)
            for method, _space, path, permit in ((*line.partition(" "), permit) for line, permit in PERMITS.items())
            if "{" in path
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or pass the request on with its caller in `request.state`."""
        if scope["type"] == "http":
            request = Request(scope)
            try:
                permit = self.permit(request.method, scope["path"])
                if permit not in OPEN:
                    caller = identify(request)
                    admit(caller, permit)
                    request.state.caller = caller
            except FareChainError as error:
                await refusal(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def permit(self, method: str, path: str) -> Permit:
        """The line of an address; Unknown where it has none."""
        method = "GET" if method == "HEAD" else method
        if (permit := self.fixed.get(f"{method} {path}")) is not None:
            return permit
        for known, pattern, permit in self.patterns:
            if known == method and pattern.match(path):
                return permit
        raise Unknown(f"this house answers nothing at {method} {path[:80]}")


def identify(request: Request) -> Caller:
    """Who signed the request's token, and its role; Unidentified where it has none or one that does not hold."""
    parts = parts_of(request)
    given = request.headers.get("authorization", "")
    if not given.startswith(_BEARER):
        raise Unidentified("this is not for everybody: send Authorization: Bearer <token>, signed by a registered access key")
    origin = parts.sequencer.head.origin
    try:
        owner = read_token(given.removeprefix(_BEARER), parts.intake.ring, audience=origin, now_s=int(time.time())).owner
    except Untrusted as error:
        raise Unidentified(str(error)) from error
    return Caller(owner, role_of(owner, parts.roles))


def caller_of(request: Request) -> Caller:
    """Who asks, as the door has it."""
    caller: Caller = request.state.caller
    return caller
