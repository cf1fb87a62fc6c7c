"""Hooks of the documentation site (`mkdocs build --strict`).

- Documents of the repository outside of docs/ are pages too, under project/. Links between the two follow; a link to a
  file that is not a page becomes its text.
- A public name without an entry in the API reference is a warning, and so an error of a strict build.
"""

from __future__ import annotations

import logging
import posixpath
import re
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = ("*.md", "examples/*/README.md", "plugins/*/*.md")
PUBLIC = ("pytheus", "pytheus_multiprocess", "pytheus_prometheus_client", "pytheus_redis")
INTERNAL = ("pytheus.__pyinstaller", "pytheus.cli", "pytheus.mypy_plugin")
"""Packages that users run or configure, and do not import."""
PUBLIC_MODULES = (
    "pytheus.definitions",
    "pytheus.exceptions",
    "pytheus.samples",
    "pytheus.testing.fixtures",
    "pytheus.worker",
)

_log = logging.getLogger("mkdocs.hooks.site_pages")
_DOCTEST = re.compile(r"^( *)>>> .*\n?(?:\1.*\S.*\n?)*", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


class Doctests(griffe.Extension):
    """Shows the examples of docstrings as code, however they are indented."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _DOCTEST.sub(
                lambda example: f"```pycon\n{textwrap.dedent(example[0]).rstrip()}\n```\n", obj.docstring.value
            )


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path in sorted(path for pattern in OUTSIDE for path in ROOT.glob(pattern)):
        uri = f"project/{path.relative_to(ROOT).as_posix()}"
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    source = page.file.src_uri
    in_repository = source.removeprefix("project/") if source.startswith("project/") else f"docs/{source}"

    def follow(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), target))
        uri = path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"
        if files.get_file_from_path(uri) is not None:
            return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(source))}{anchor})"
        return text if (ROOT / path).exists() else link[0]

    fences = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if index % 2 else _LINK.sub(follow, part) for index, part in enumerate(fences))


@event_priority(-100)  # after mkdocstrings has written the inventory
def on_post_build(config: MkDocsConfig) -> None:
    inventory = (Path(config.site_dir) / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = {line.split(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    for module, name in public_names():
        if not entries.intersection((f"{module.path}.{name}", _canonical(module, name))):
            _log.warning("%s.%s is public, but has no entry in docs/reference/api", module.path, name)


def public_names() -> Iterator[tuple[griffe.Module, str]]:
    """Each name in the `__all__` of a public module, read from the source."""
    loader = griffe.GriffeLoader(
        search_paths=[
            ROOT,
            ROOT / "plugins/pytheus-multiprocess",
            ROOT / "plugins/pytheus-prometheus-client",
            ROOT / "plugins/pytheus-redis",
        ]
    )
    for package in PUBLIC:
        loader.load(package)
    loader.resolve_aliases(external=False)
    modules = [loader.modules_collection[package] for package in (*PUBLIC, *PUBLIC_MODULES)]
    modules += [module for module in modules[0].modules.values() if module.is_package and module.path not in INTERNAL]
    for module in modules:
        for name in module.exports or ():
            yield module, str(name)


def _canonical(module: griffe.Module, name: str) -> str:
    member: griffe.Object | griffe.Alias = module[name]
    return member.final_target.path if isinstance(member, griffe.Alias) else member.path
