"""The readers' roles, as the scheme gives them: `access.toml` among the members' files.

    [readers]
    60001 = "auditor"
    60002 = "regulator"

A reader's key comes to the ledger like a member's, by its NAME.entry; without a line here it opens nothing.
"""

import tomllib
from pathlib import Path

from fare_chain.errors import Malformed
from fare_chain.identifiers import FIRST_READER
from settlement.web.permits import Role

FILE = "access.toml"
_GIVEN = (Role.AUDITOR, Role.REGULATOR)


def read_roles(members: Path) -> dict[int, Role]:
    """Every reader's role by its number; none without the file. Malformed names the line that is no reader or no role."""
    path = members / FILE
    if not path.is_file():
        return {}
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Malformed(f"{path} cannot be read: {error}") from error
    readers = told.get("readers", {})
    if told.keys() - {"readers"} or not isinstance(readers, dict):
        raise Malformed(f"{path}: expected one table [readers], found {', '.join(told)[:80]}")
    roles = {}
    for number, role in readers.items():
        if not (number.isascii() and number.isdigit()) or not FIRST_READER <= int(number) <= 0xFFFF:
            raise Malformed(f"{path}: {number[:40]!r} is no reader, expected a number from {FIRST_READER} to 65535")
        if role not in _GIVEN:
            raise Malformed(f"{path}: reader {number} is {str(role)[:40]!r}, expected {' or '.join(_GIVEN)}")
        roles[int(number)] = Role(role)
    return roles
