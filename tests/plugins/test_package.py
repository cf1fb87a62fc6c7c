from __future__ import annotations

import pytest

from pytheus import plugins


@pytest.mark.parametrize("name", plugins.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(plugins, name) is not None
    assert name in dir(plugins)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match=r"module 'pytheus\.plugins' has no attribute 'nothing'"):
        getattr(plugins, "nothing")  # noqa: B009  # it is the very thing under test
