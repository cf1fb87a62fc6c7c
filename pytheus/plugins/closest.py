"""The name that somebody meant."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["closest"]


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that is written most like `word`, in whatever case, or None if none comes near."""
    import difflib  # loaded late: only error messages need it

    by_lowercase = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(word.lower(), by_lowercase, n=1)
    return by_lowercase[matches[0]] if matches else None
