"""What a browser shows of the page, as texts."""

from __future__ import annotations

import json

from bench.chromium import Tab

__all__ = ["details", "names", "row", "until", "until_details"]

ROWS = "[...document.querySelectorAll('#list .row')].filter((row) => !row.hidden)"
NAME = "row.querySelector('.family-name').textContent"


def names(tab: Tab) -> list[str]:
    """The names of the families on screen, in their order."""
    order = ".sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
    shown: list[str] = tab.run(f"{ROWS}{order}.filter((row) => !row.matches('.group')).map((row) => {NAME})")
    return shown


def row(tab: Tab, name: str) -> str:
    """The text of a family's row, blanks made one."""
    text = tab.run(f"{ROWS}.find((row) => {NAME} === {json.dumps(name)})?.innerText")
    return " ".join(str(text).replace("\u202f", " ").split())


def details(tab: Tab) -> str:
    """The text of the right side, blanks made one."""
    return " ".join(tab.text("#detail").replace("\u202f", " ").split())


def until(tab: Tab, name: str, text: str) -> None:
    """Wait until the row of a family has a text."""
    tab.wait_for(lambda: text in row(tab, name), f"{text!r} in the row of {name}")


def until_details(tab: Tab, text: str) -> None:
    """Wait until the right side has a text."""
    tab.wait_for(lambda: text in details(tab), f"{text!r} in the details")
