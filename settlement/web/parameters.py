"""The parameters of a request, held to those that its route reads."""

from collections.abc import Iterable

from starlette.requests import Request

from fare_chain.errors import Malformed


def parameters_of(request: Request, known: Iterable[str]) -> dict[str, str]:
    """The query's parameters, each once; Malformed for one that nobody reads: a slip must not change an answer in silence."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    for name in names:
        if name not in known:
            raise Malformed(f"there is no parameter {name[:40]!r}: give some of {', '.join(known)}")
        if names.count(name) > 1:
            raise Malformed(f"{name} stands there {names.count(name)} times: give it once")
    return dict(pairs)
