"""The readers' roles as the scheme writes them, and every slip by name."""

import pytest

from fare_chain.errors import Malformed
from settlement.web.permits import Role
from settlement.web.roles_file import read_roles


def test_roles_are_read_and_none_without_a_file(tmp_path):
    assert read_roles(tmp_path) == {}
    (tmp_path / "access.toml").write_text('[readers]\n60001 = "auditor"\n60002 = "regulator"\n')
    assert read_roles(tmp_path) == {60_001: Role.AUDITOR, 60_002: Role.REGULATOR}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[readers", "cannot be read"),
        ('60001 = "auditor"', "expected one table"),
        ('readers = "60001"', "expected one table"),
        ('[readers]\n9 = "auditor"', "'9' is no reader"),
        ('[readers]\n65536 = "auditor"', "'65536' is no reader"),
        ('[readers]\n60001 = "scheme"', "expected auditor or regulator"),
        ("[readers]\n60001 = 3", "expected auditor or regulator"),
    ],
)
def test_a_slip_is_named(tmp_path, text, why):
    (tmp_path / "access.toml").write_text(text)
    with pytest.raises(Malformed, match=why):
        read_roles(tmp_path)
