"""``pytheus migrate``: Python sources that use prometheus_client, or pytheus 0.6, rewritten for this pytheus.

Differences go to stdout, so that they can be piped into ``patch`` or ``git apply``; findings for a person go
to stderr, in the order of files and lines.
"""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command(
    "migrate",
    epilog=(
        "\b\nexamples:\n  pytheus migrate src\n  pytheus migrate src --write\n"
        "  pytheus migrate src > migration.patch\n\n"
        "\b\nexit codes: 0; 1 if something is left to a person, or a file could not be read;"
        "\n2 if the command could not be carried out."
    ),
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--write", is_flag=True, help="Write the files instead of printing the difference.")
def command(paths: tuple[Path, ...], write: bool) -> int:
    """Rewrite sources from prometheus_client, or from pytheus 0.6, to this pytheus.

    PATH is a file, or a folder whose Python files are rewritten. No code is executed. Each use that is left to you is
    reported on stderr, with its line in the file as it was. Running it again changes nothing.
    """
    try:
        from pytheus.migrate.sources import difference, migrate, replace
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise click.ClickException(
            "libcst is not installed, which this command needs; pip install 'pytheus[migrate]'"
        ) from error
    changed = calls = left = 0
    for outcome in migrate(paths):
        for remark in outcome.remarks:
            click.echo(f"{outcome.path}:{remark.line}: {remark.subject}; {remark.remedy}", err=True)
        if outcome.problem:
            click.echo(f"{outcome.path}: {outcome.problem}", err=True)
        left += len(outcome.remarks) + bool(outcome.problem)
        if outcome.before == outcome.after:
            continue
        changed += 1
        calls += outcome.calls
        if write:
            replace(outcome)
        else:
            click.echo(difference(outcome), nl=False)
    done = "rewritten" if write else "to rewrite"
    click.echo(f"{_count(changed, 'file')} {done} with {_count(calls, 'call')}; left to you: {left}", err=True)
    return 1 if left else 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
