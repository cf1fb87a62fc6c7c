"""The table of what became of the mutants."""

from __future__ import annotations

from collections.abc import Sequence

from mutation.workbench import Outcome

__all__ = ["line", "summary", "unexpected"]


def line(outcome: Outcome) -> str:
    """One mutant: its name, who noticed it, and how long that took."""
    return f"{outcome.mutant.name:<44} {_verdict(outcome):<90} {outcome.seconds:5.1f} s"


def _verdict(outcome: Outcome) -> str:
    if not outcome.caught:
        explained = outcome.mutant.equivalent
        return "survived, as it must: nobody can notice" if explained else "SURVIVED"
    first = outcome.noticed_by[0].removeprefix("tests/")
    count = len(outcome.noticed_by)
    how = f"hangs {outcome.noticed_by[-1].removeprefix('tests/')}" if outcome.hung else f"caught by {count}: {first}"
    return how if outcome.meant else f"{how} (only one of the further tests)"


def unexpected(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The survivors that nothing explains, and those that were caught though nobody should notice."""
    return [outcome for outcome in outcomes if outcome.caught == bool(outcome.mutant.equivalent)]


def summary(outcomes: Sequence[Outcome]) -> str:
    """The last line of a run."""
    caught = sum(outcome.caught for outcome in outcomes)
    equivalent = [outcome for outcome in outcomes if outcome.mutant.equivalent and not outcome.caught]
    survivors = [outcome.mutant.name for outcome in unexpected(outcomes) if not outcome.caught]
    refuted = [outcome.mutant.name for outcome in unexpected(outcomes) if outcome.caught]
    parts = [f"{len(outcomes)} mutants: {caught} caught, {len(equivalent)} that nobody can notice"]
    parts.append(f"SURVIVORS: {', '.join(survivors)}" if survivors else "no other survivor")
    if refuted:
        parts.append(f"CAUGHT, though said to be equivalent: {', '.join(refuted)}")
    return "; ".join(parts)
