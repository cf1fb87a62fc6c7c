"""The faults of an exposition: those that a reader finds line by line, and those of its samples in any format.

Rules:

- A rule or metric that the options leave out takes no place of another one.
- Of each rule at most `FAULTS_AT_MOST` are kept, because a file of another format would have one fault a line. One more
  finding tells the number of the others.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from pytheus.samples import EXEMPLAR_CHARACTERS_AT_MOST
from pytheus.testing.lint.finding import Finding, shown_text
from pytheus.testing.lint.options import LintOptions
from pytheus.testing.parsed import ParsedSample

__all__ = ["FAULTS_AT_MOST", "Faults"]

FAULTS_AT_MOST: Final = 100


class Faults:
    """The faults that `options` do not leave out.

    `ignored` is the number of those that they ignore.

        >>> faults = Faults(LintOptions())
        >>> for line in range(1, 103):
        ...     faults.add(Finding("syntax-error", "", "the line is empty", "leave it out", line=line))
        >>> [finding.message for finding in faults.findings()][-2:]
        ['the line is empty', '2 more faults of this rule are not listed']
    """

    def __init__(self, options: LintOptions) -> None:
        self.ignored: int = 0
        self._options: Final = options
        self._kept: Final[dict[Finding, None]] = {}
        # By rule.
        self._counts: Final[Counter[str]] = Counter()
        self._seen: Final[set[tuple[str, tuple[tuple[str, str], ...]]]] = set()

    def add(self, finding: Finding) -> None:
        """Add `finding`."""
        options = self._options
        if finding in self._kept or (options.select and finding.rule not in options.select):
            return
        if options.ignores(finding):
            self.ignored += 1
            return
        self._counts[finding.rule] += 1
        if self._counts[finding.rule] <= FAULTS_AT_MOST:
            self._kept[finding] = None

    def check_sample(self, sample: ParsedSample, metric: str, line: int = 0) -> None:
        """Add the faults of `sample`, which is the next one of the exposition and belongs to `metric`."""
        series = sample[:2]
        if series in self._seen:
            message = f"the series {shown_text(str(sample))} occurs twice"
            self.add(
                Finding("duplicate-series", metric, message, "expose it once; add a label if these are two", "", line)
            )
        self._seen.add(series)
        exemplars = sample.exemplars if sample.exemplar is None else (sample.exemplar, *sample.exemplars)
        for exemplar in exemplars:
            length = sum(len(name) + len(value) for name, value in exemplar.labels.items())
            if length > EXEMPLAR_CHARACTERS_AT_MOST:
                message = f"an exemplar has {length} characters in its labels"
                remedy = f"keep them to {EXEMPLAR_CHARACTERS_AT_MOST}"
                self.add(Finding("exemplar-too-long", metric, message, remedy, "", line))

    def findings(self) -> list[Finding]:
        """Return the faults in the order of their lines, and after them how many more there are of a rule."""
        found = sorted(self._kept, key=lambda fault: fault.line)
        for rule, count in self._counts.items():
            more = count - FAULTS_AT_MOST
            if more > 0:
                told = "1 more fault of this rule is" if more == 1 else f"{more} more faults of this rule are"
                found.append(Finding(rule, "", f"{told} not listed", "mend those that are listed, and check again"))
        return found
