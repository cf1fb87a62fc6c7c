"""Mistakes in the layers of the configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.config import load_configuration

if TYPE_CHECKING:
    pass


def write(home: Path, wrap: str, more: str = "") -> None:
    (home / "pyproject.toml").write_text(f"[tool.pytheus]\nwrap = {wrap}\n{more}", "utf-8")


LAYER = "layer 1 of 'wrap' in [tool.pytheus]"


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (
            '"read_only"',
            "'wrap' in [tool.pytheus] must be an array of layers but is a string; write"
            ' wrap = [{ prefixed = "PREFIX" }]',
        ),
        (
            "[3]",
            f"{LAYER} must be a layer's name, or a table that has the layer's name as its only key, but is an integer;"
            ' write "read_only" or { limited = { max_series = 10000 } }',
        ),
        (
            '[{ prefixed = "a", labelled = { b = "c" } }]',
            f"{LAYER} must be a layer's name, or a table that has the layer's name as its only key, but is a table of 2"
            ' keys; write "read_only" or { limited = { max_series = 10000 } }',
        ),
        (
            '["readonly"]',
            f"{LAYER} is the unknown 'readonly'; did you mean 'read_only'? there are: filtered, labelled, limited,"
            " prefixed, read_only",
        ),
        (
            "[{ union = [] }]",
            f"{LAYER} is the unknown 'union'; there are: filtered, labelled, limited, prefixed, read_only",
        ),
        ("[{ read_only = true }]", f'{LAYER}, read_only, takes nothing but got a boolean; write "read_only"'),
        ('["prefixed"]', f'{LAYER}, prefixed, takes a string but got nothing; write {{ prefixed = "PREFIX" }}'),
        (
            "[{ prefixed = 3 }]",
            f'{LAYER}, prefixed, takes a string but got an integer; write {{ prefixed = "PREFIX" }}',
        ),
        (
            "[{ limited = 10 }]",
            f"{LAYER}, limited, takes a table of its arguments but got an integer; write"
            " { limited = { max_series = 10000 } }",
        ),
        (
            "[{ limited = {} }]",
            f"{LAYER}, limited, takes a table of its arguments but got an empty table; write"
            " { limited = { max_series = 10000 } }",
        ),
        (
            "[{ limited = { max_seris = 1 } }]",
            f"{LAYER}, limited, has the unknown key 'max_seris'; did you mean 'max_series'? it takes: max_series,"
            " max_series_per_metric, overflow",
        ),
        (
            '[{ limited = { max_series = "1" } }]',
            f"{LAYER}, limited, takes 'max_series' as an integer but got a string; write"
            " { limited = { max_series = 10000 } }",
        ),
        (
            "[{ limited = { max_series = true } }]",
            f"{LAYER}, limited, takes 'max_series' as an integer but got a boolean; write"
            " { limited = { max_series = 10000 } }",
        ),
        (
            "[{ limited = { max_series = 0 } }]",
            f"{LAYER}, limited, is invalid: limited(...) takes max_series as an int from 1 up, or None, but got 0",
        ),
        (
            '[{ filtered = { names = "jobs_total" } }]',
            f"{LAYER}, filtered, takes 'names' as an array of strings but got a string; write"
            ' { filtered = { names = ["NAME"] } }',
        ),
        (
            "[{ filtered = { names = [1] } }]",
            f"{LAYER}, filtered, takes 'names' as an array of strings but got an array with an integer; write"
            ' { filtered = { names = ["NAME"] } }',
        ),
        (
            '[{ filtered = { predicate = "x" } }]',
            f"{LAYER}, filtered, has the unknown key 'predicate'; a predicate cannot come from a file; it takes: names",
        ),
        (
            "[{ labelled = { region = 3 } }]",
            f"{LAYER}, labelled, takes 'region' as a string but got an integer; write"
            ' { labelled = { LABEL = "VALUE" } }',
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_file_and_layer(wrap: str, message: str, home: Path) -> None:
    write(home, wrap)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration()
    assert str(caught.value) == f"{home / 'pyproject.toml'}: {message}"


@pytest.mark.parametrize(
    "wrap",
    [
        '[{ prefixed = "a b" }]',
        '[{ prefixed = "" }]',
        '[{ labelled = { le = "x", "a-b" = "c" } }]',
        '[{ filtered = { names = ["http_*"] } }]',
        '[{ labelled = { a = "1" } }, { labelled = { a = "2" } }]',
    ],
)
def test_what_the_function_refuses_is_refused_with_its_reason(wrap: str, home: Path) -> None:
    write(home, wrap)
    with pytest.raises(
        ConfigurationError, match=r"layer [12] of 'wrap' in \[tool\.pytheus\], \w+, is invalid: "
    ) as caught:
        load_configuration()
    assert caught.value.__cause__ is not None
