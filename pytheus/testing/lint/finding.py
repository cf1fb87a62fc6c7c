"""One finding of the linter, and where it is."""

from __future__ import annotations

from typing import NamedTuple

from pytheus.testing.lint.rules import RULES, Severity

__all__ = ["Finding", "shown_text"]

_SHOWN_CHARACTERS = 60


class Finding(NamedTuple):
    """A rule that a metric breaks.

    `rule` is its id. `metric` is the name as exposed, or "" if the finding is about the whole exposition. `message`
    tells the fault, and `remedy` the change that removes it. `label` is the label that it is about, or "". `line` is
    the line in the exposition, or 0 if unknown. `location` is "file:line" of the metric's definition, or "".

        >>> finding = Finding("unit-abbreviated", "wait_ms", "'ms' is an abbreviation", "call it 'wait_seconds'")
        >>> str(finding), str(finding.severity)
        ("wait_ms: 'ms' is an abbreviation; call it 'wait_seconds' [unit-abbreviated]", 'warning')
    """

    rule: str
    metric: str
    message: str
    remedy: str
    label: str = ""
    line: int = 0
    location: str = ""

    @property
    def severity(self) -> Severity:
        """The severity of its rule."""
        return RULES[self.rule].severity

    def __str__(self) -> str:
        subject = f"{self.metric}: " if self.metric else ""
        return f"{subject}{self.message}; {self.remedy} [{self.rule}]"


def shown_text(text: str) -> str:
    """Return `text` in quotes, on one line and not too long.

    >>> shown_text("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 3] + "..."
    return ascii(text) if not text.isprintable() else repr(text)
