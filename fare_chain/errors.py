"""The refusals of a whole request: one family, so that a caller can catch it and only the web knows status codes."""


class FareChainError(Exception):
    """Every refusal of ours; its text says what was found, what was expected and what to do."""


class Malformed(FareChainError):
    """Bytes that cannot be read as what they claim to be; names the field and its offset."""


class Untrusted(FareChainError):
    """A key, signature, hash or root that does not hold."""


class Unknown(FareChainError):
    """Something that is named but not here."""


class Conflict(FareChainError):
    """A request that contradicts what is already recorded; says what was expected."""


class Overloaded(FareChainError):
    """More than can be taken now: try again later, nothing was stored."""
