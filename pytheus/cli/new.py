"""``pytheus new registry NAME``: a distribution with a registry plugin, complete and ready to be changed.

Rules:

- It is written as a whole or not at all: into a folder beside its place, which is then renamed. What is already there
  is never touched.
- The templates are the files under ``templates/registry``, with `string.Template`'s placeholders. What they give passes
  `pytheus check`, its own tests, ``mypy --strict`` and ruff as it is; tests/plugins/test_generated.py holds them to it.
"""

from __future__ import annotations

import os
import re
import shutil
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from pytheus.cli.command import call
from pytheus.plugins.address import is_plugin_name, normalized_distribution
from pytheus.plugins.builtin import BUILTIN_REGISTRIES

__all__ = ["Names", "command", "new", "write_distribution"]

# Where each template goes; the placeholders are those of `Names`.
_FILES: Final[dict[str, str]] = {
    "gitignore": ".gitignore",
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    "package.py": "src/$module/__init__.py",
    "plugin.py": "src/$module/plugin.py",
    "registry.py": "src/$module/registry.py",
    "py.typed": "src/$module/py.typed",
    "test_conformance.py": "tests/test_conformance.py",
    "test_options.py": "tests/test_options.py",
}
# Longer ones would break the lines of what is written.
_MAX_NAME_CHARACTERS: Final = 32
_NOT_IN_AN_IDENTIFIER: Final = re.compile(r"[^A-Za-z0-9_]")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")


class Names(NamedTuple):
    """What everything is called that belongs to the plugin `name`.

    >>> Names.of("tea-house")
    Names(name='tea-house', distribution='pytheus-tea-house', module='pytheus_tea_house', camel='TeaHouse')
    """

    name: str
    distribution: str
    module: str
    camel: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Raises `click.BadParameter` for what cannot be a plugin's name, or could not be chosen by it."""
        if not is_plugin_name(name):
            raise click.BadParameter(
                f"{name!r} cannot be a registry's name, which consists of letters, digits, '_', '.', '-' and '+'"
            )
        if name in BUILTIN_REGISTRIES:
            raise click.BadParameter(f"{name!r} is a name of pytheus itself, and a plugin of that name is never used")
        if len(name) > _MAX_NAME_CHARACTERS:
            raise click.BadParameter(f"{name!r} has {len(name)} characters; take at most {_MAX_NAME_CHARACTERS}")
        words = _WORD.findall(name)
        if not words:
            raise click.BadParameter(f"{name!r} has neither a letter nor a digit, from which its files could be named")
        camel = "".join(word[0].upper() + word[1:] for word in words)
        return cls(
            name,
            normalized_distribution(f"pytheus-{'-'.join(words)}"),
            _NOT_IN_AN_IDENTIFIER.sub("_", f"pytheus_{'_'.join(words)}").lower(),
            camel if camel[0].isalpha() else f"The{camel}",
        )


def new(arguments: Sequence[str]) -> int:
    """Run ``pytheus new`` with `arguments`; gives the exit code."""
    return call(command, arguments)


@click.group("new", no_args_is_help=False)
def command() -> None:
    """Start a distribution of your own."""


@command.command(
    "registry",
    short_help="a registry plugin, complete with tests",
    epilog=(
        "\b\nexamples:\n  pytheus new registry teahouse\n"
        "  pytheus new registry teahouse --directory plugins/teahouse\n\n"
        "\b\nexit codes: 0; 2 if it could not be written, and then nothing was."
    ),
)
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="D",
    help="The folder to make; it must not exist.  [default: pytheus-NAME]",
)
def registry(name: str, directory: Path | None) -> int:
    """Write a complete distribution whose registry can be chosen as NAME.

    It has the registry, its typed options, the entry point, tests on the conformance kit, a README and a
    pyproject.toml. It passes `pytheus check` and its own tests as it is; change it from there.
    """
    names = Names.of(name)
    target = Path(names.distribution) if directory is None else directory
    write_distribution(names, target)
    for line in _next_steps(names, target):
        click.echo(line)
    return 0


def _next_steps(names: Names, target: Path) -> list[str]:
    return [
        f"{target}: a distribution {names.distribution} with the registry {names.name!r}",
        "",
        "  cd " + _quoted(str(target)),
        '  pip install -e ".[test]"',
        "  python -m pytest",
        f"  pytheus check {_quoted(names.name)}",
    ]


def _quoted(text: str) -> str:
    import shlex  # loaded late: only this message needs it

    return shlex.quote(text)


def write_distribution(names: Names, target: Path) -> None:
    """Write the distribution for `names` into the new folder `target`.

    Raises `click.ClickException` if there is something at that place, or the folder that it is to stand in is missing;
    and `OSError` as writing does. Nothing was written then.
    """
    if os.path.lexists(target):
        raise click.ClickException(f"{str(target)!r} exists already; name another folder with --directory")
    parent = target.absolute().parent
    if not parent.is_dir():
        raise click.ClickException(f"there is no folder {str(parent)!r} to make {target.name!r} in; make it first")
    rendered = render(names)
    import secrets  # loaded late: only this command needs it

    # Not by tempfile, whose folders are for their owner alone.
    workshop = parent / f".{target.name}.{secrets.token_hex(4)}"
    workshop.mkdir()
    try:
        for path, text in rendered.items():
            file = workshop / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8", newline="\n")
        workshop.rename(target)  # fails where something else came to stand there meanwhile
    except BaseException:
        shutil.rmtree(workshop, ignore_errors=True)
        raise


def render(names: Names) -> Mapping[str, str]:
    """The text of each file, by its path in the distribution."""
    from importlib.resources import files  # loaded late: only this command reads templates

    from pytheus.version import __version__  # loaded late: likewise

    words = {**names._asdict(), "pytheus_version": ".".join(__version__.split(".")[:2])}
    templates = files("pytheus.cli").joinpath("templates", "registry")
    return {
        string.Template(path).substitute(words): string.Template(
            templates.joinpath(f"{template}.template").read_text("utf-8")
        ).substitute(words)
        for template, path in _FILES.items()
    }
