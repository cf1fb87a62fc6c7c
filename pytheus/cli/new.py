"""``pytheus new registry NAME``: a distribution with a registry plugin, complete and ready to be changed.

Rules:

- It is written as a whole or not at all: into a folder beside its target, which is then renamed. Existing files are
  never touched.
- The templates are the files under ``templates/registry``, with `string.Template`'s placeholders. The result passes
  `pytheus check`, its own tests, ``mypy --strict`` and ruff unchanged, as tests/plugins/test_generated.py checks.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import string
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

import click

from pytheus.plugins.address import BUILTIN_REGISTRIES, is_plugin_name, normalized_distribution
from pytheus.version import __version__

__all__ = ["Names", "command", "write_distribution"]

# The path of each template's result; the placeholders are those of `Names`.
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
# A longer name would make lines of the result too long.
_MAX_NAME_CHARACTERS: Final = 32
_NOT_IN_AN_IDENTIFIER: Final = re.compile(r"[^A-Za-z0-9_]")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")


class Names(NamedTuple):
    """The names of everything that belongs to the plugin `name`.

    >>> Names.of("tea-pot")
    Names(name='tea-pot', distribution='pytheus-tea-pot', module='pytheus_tea_pot', camel='TeaPot')
    """

    name: str
    distribution: str
    module: str
    camel: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Raises `click.BadParameter` for a `name` that cannot be a plugin's, or could not be chosen."""
        words = _WORD.findall(name)
        problem = None
        if not is_plugin_name(name):
            problem = "cannot be a registry's name; a name consists of letters, digits, '_', '.', '-' and '+'"
        elif name in BUILTIN_REGISTRIES:
            problem = "is reserved for pytheus itself, and a plugin of that name is never used"
        elif len(name) > _MAX_NAME_CHARACTERS:
            problem = f"has {len(name)} characters; use at most {_MAX_NAME_CHARACTERS}"
        elif not words:
            problem = "has neither a letter nor a digit, so its files cannot be named after it"
        if problem is not None:
            raise click.BadParameter(f"{name!r} {problem}")
        camel = "".join(word[0].upper() + word[1:] for word in words)
        return cls(
            name,
            normalized_distribution(f"pytheus-{'-'.join(words)}"),
            _NOT_IN_AN_IDENTIFIER.sub("_", f"pytheus_{'_'.join(words)}").lower(),
            camel if camel[0].isalpha() else f"The{camel}",
        )


@click.group("new", no_args_is_help=False)
def command() -> None:
    """Start a distribution of your own."""


@command.command(
    "registry",
    short_help="a registry plugin, complete with tests",
    epilog=(
        "\b\nexamples:\n  pytheus new registry teahouse\n"
        "  pytheus new registry teahouse --directory plugins/teahouse\n\n"
        "\b\nexit codes: 0; 2 if it could not be written; in that case nothing was written."
    ),
)
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="D",
    help="The folder to create; it must not exist.  [default: pytheus-NAME]",
)
def registry(name: str, directory: Path | None) -> int:
    """Write a complete distribution whose registry can be chosen as NAME.

    It has the registry, its typed options, the entry point, tests on the conformance kit, a README and a
    pyproject.toml. It passes `pytheus check` and its own tests unchanged.
    """
    names = Names.of(name)
    target = Path(names.distribution) if directory is None else directory
    write_distribution(names, target)
    click.echo(
        f"{target}: a distribution {names.distribution} with the registry {names.name!r}\n\n"
        f"  cd {shlex.quote(str(target))}\n"
        '  pip install -e ".[test]"\n'
        "  python -m pytest\n"
        f"  pytheus check {shlex.quote(names.name)}"
    )
    return 0


def write_distribution(names: Names, target: Path) -> None:
    """Write the distribution for `names` into the new folder `target`.

    Raises `click.ClickException` if `target` exists or its parent does not, and `OSError` as writing does. In these
    cases nothing was written.
    """
    if os.path.lexists(target):
        raise click.ClickException(f"{str(target)!r} exists already; name another folder with --directory")
    parent = target.absolute().parent
    if not parent.is_dir():
        raise click.ClickException(
            f"the folder {str(parent)!r}, in which to create {target.name!r}, does not exist; create it first"
        )
    rendered = render(names)
    # Not by tempfile, whose folders only their owner can read.
    draft = parent / f".{target.name}.{secrets.token_hex(4)}"
    draft.mkdir()
    try:
        for path, text in rendered.items():
            file = draft / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8", newline="\n")
        draft.rename(target)  # fails if `target` was created meanwhile
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def render(names: Names) -> Mapping[str, str]:
    """The text of each file, by its path in the distribution."""
    words = {**names._asdict(), "pytheus_version": ".".join(__version__.split(".")[:2])}
    templates = files("pytheus.cli").joinpath("templates", "registry")
    return {
        string.Template(path).substitute(words): string.Template(
            templates.joinpath(f"{template}.template").read_text("utf-8")
        ).substitute(words)
        for template, path in _FILES.items()
    }
