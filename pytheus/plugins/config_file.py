"""The configuration file: which file it is, whether it is obeyed, and its table ``[tool.pytheus]``.

Rules:

- ``PYTHEUS_CONFIG`` names the file; without it, the file is the nearest ``pyproject.toml``, from the working directory
  upward. The nearest one decides even if it has no setting for pytheus: which settings apply must not depend on a
  distant folder.
- In either file the table is ``[tool.pytheus]``. A file that was named and lacks it was named by mistake; a
  ``pyproject.toml`` may lack it.
- A ``pyproject.toml`` chooses where metrics are sent and which files are created, so it is obeyed only if those who can
  change it are trusted: this process's user, root, and the owner of the working directory (a container's root works in
  a checkout that a user owns). Another one is ignored with a warning, and the search goes on. A group may have write
  access if it is one of this process's, root's, or the working directory's, because many systems give each user a group
  and let it write. A file that was named is always obeyed.
- A ``pyproject.toml`` that does not mention pytheus is not parsed, so that an application without any configuration
  does not pay for a TOML parser and is not stopped by a mistake in a file about something else. A word that resembles
  it is looked for in the names of tables.
- No file is waited for: only regular files are read, and at most `MAX_FILE_BYTES` of them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pytheus.exceptions import ConfigurationError
from pytheus.regular_files import UnfitFileError, read_regular_file

__all__ = ["MAX_FILE_BYTES", "ConfigurationFile", "LookedAt", "read_configuration_file"]

MAX_FILE_BYTES: Final = 1024 * 1024

_MAX_DEPTH: Final = 32
_MAX_EDITS: Final = 2
_NAME: Final = "pytheus"
_NO_TABLE: Final = "decides, and has no [tool.pytheus]"
_WORD: Final = rb"[A-Za-z]{5,9}"


class LookedAt(NamedTuple):
    """A file that was looked at, and the words for the decision about it."""

    path: str
    decision: str


class ConfigurationFile(NamedTuple):
    """The table ``[tool.pytheus]``, which is {} in a file without it.

    `path` is the file's if it has the table, else None. `warnings` are about files and tables that are ignored.
    """

    path: str | None
    table: object
    looked_at: tuple[LookedAt, ...]
    warnings: tuple[str, ...]


def read_configuration_file() -> ConfigurationFile:
    """The configuration file as it is now. Raises `ConfigurationError`, which names the file."""
    named = os.environ.get("PYTHEUS_CONFIG", "").strip()
    if "://" in named:
        # It is not shown, because it may contain a password.
        raise ConfigurationError(
            "PYTHEUS_CONFIG must be the path of a TOML file but is a URL; a registry's URL is set by PYTHEUS_REGISTRY"
        )
    if named:
        path = os.path.abspath(named)
        source = " (from PYTHEUS_CONFIG)"
        return _Parsed(path, source, _content(path, source)[0]).required()
    looked_at: list[LookedAt] = []
    warnings: list[str] = []
    for path in _candidates():
        content, problem = b"", None
        try:
            status = os.stat(path)
        except OSError:
            continue  # it does not exist, or is a symbolic link to nothing
        try:
            content, status = _content(path, "")
        except ConfigurationError as error:
            problem = error
        try:
            reason = _distrusted(path, status)
        except OSError as error:
            reason = f"was changed while it was read ({error.strerror})"
        if reason is None and problem is not None:
            raise problem
        if reason is None:
            found = _Parsed(path, "", content).optional()
            return found._replace(looked_at=(*looked_at, *found.looked_at), warnings=(*warnings, *found.warnings))
        looked_at.append(LookedAt(path, f"ignored, because it {reason}"))
        if _NAME.encode() in content or _mentions_a_similar_word(content):
            warnings.append(
                f"configuration file {path} is ignored, because it {reason}; to obey it, name it in PYTHEUS_CONFIG"
            )
    return ConfigurationFile(None, {}, tuple(looked_at), tuple(warnings))


def _candidates() -> Iterator[str]:
    """The ``pyproject.toml`` of the working directory and of each directory above it, whether they exist or not."""
    try:
        folder = os.getcwd()
    except OSError:
        return  # the working directory was removed, so it has no parents
    while True:
        yield os.path.join(folder, "pyproject.toml")
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


# Trust ----------------------------------------------------------------------------------------------------------------


def _distrusted(path: str, status: os.stat_result) -> str | None:
    """The reason why the file at `path`, which has the `status`, is not obeyed, or None."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if not hasattr(os, "geteuid"):
        return None  # Windows has no modes, and other users cannot write where they should not
    here = os.stat(os.curdir)
    users = {os.geteuid(), 0, here.st_uid}
    groups = {os.getegid(), *os.getgroups(), 0, here.st_gid}
    link = os.lstat(path)
    if link.st_uid not in users:
        kind = "is a symbolic link of" if stat.S_ISLNK(link.st_mode) else "belongs to"
        return f"{kind} another user (with the id {link.st_uid})"
    if status.st_uid not in users:
        return f"belongs to another user (with the id {status.st_uid})"
    writers = _writers(status, groups)
    if writers is not None:
        return f"can be written by {writers}"
    for folder in {os.path.dirname(path), os.path.dirname(os.path.realpath(path))}:
        inside = os.stat(folder)
        writers = _writers(inside, groups)
        # In a directory with the sticky bit, such as /tmp, others can neither replace nor move the file.
        if writers is not None and not inside.st_mode & stat.S_ISVTX:
            return f"is in a directory that can be written by {writers}"
    return None


def _writers(status: os.stat_result, groups: set[int]) -> str | None:
    if status.st_mode & stat.S_IWOTH:
        return "every user"
    if status.st_mode & stat.S_IWGRP and status.st_gid not in groups:
        return f"another group (with the id {status.st_gid})"
    return None


# Content --------------------------------------------------------------------------------------------------------------


def _content(path: str, source: str) -> tuple[bytes, os.stat_result]:
    """The content of a file and its status, which belong together even if another file replaces it meanwhile."""
    subject = f"configuration file {path}{source}"
    try:
        return read_regular_file(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{subject} does not exist; create it or unset PYTHEUS_CONFIG") from error
    except UnfitFileError as error:
        words = error.strerror
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"{subject} cannot be read: {words}; make it readable, or name another in PYTHEUS_CONFIG"
        ) from error
    raise ConfigurationError(f"{subject} is {words}; name a TOML file")


class _Parsed:
    """The content of a file as a TOML document."""

    def __init__(self, path: str, source: str, content: bytes) -> None:
        self._path: Final = path
        self._source: Final = source
        self._content: Final = content

    def required(self) -> ConfigurationFile:
        """The file's table, which it must have."""
        document = self._document()
        found = self._found(document)
        if found is None:
            unread = _unread_tables(document)
            hint = f" ([{unread[0]}] is not read)" if unread else ""
            raise ConfigurationError(
                f"configuration file {self._path}{self._source} has no table [tool.pytheus]{hint}; add it, even empty"
            )
        return found

    def optional(self) -> ConfigurationFile:
        """The file's table, or none."""
        is_mentioned = _NAME.encode() in self._content
        if not is_mentioned and not _mentions_a_similar_word(self._content):
            return self._nothing(self._words_for_other_content())
        try:
            document = self._document()
        except ConfigurationError:
            if is_mentioned:
                raise
            return self._nothing(f"{_NO_TABLE}, because it is not valid TOML")
        return self._found(document) or self._nothing(_NO_TABLE, _unread_tables(document))

    def _words_for_other_content(self) -> str:
        if self._text() is not None:
            return _NO_TABLE
        if _NAME.encode() in self._content.replace(b"\0", b""):  # UTF-16 or UTF-32
            raise self._not_text()
        return f"{_NO_TABLE}, because it is not UTF-8 text"

    def _text(self) -> str | None:
        try:
            text = self._content.decode("utf-8")
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text

    def _found(self, document: Mapping[str, object]) -> ConfigurationFile | None:
        tool = document.get("tool")
        if not (isinstance(tool, dict) and _NAME in tool):
            return None
        self._check_size(tool[_NAME])
        looked_at = (LookedAt(self._path, "has [tool.pytheus]"),)
        return ConfigurationFile(self._path, tool[_NAME], looked_at, self._warnings(_unread_tables(document)))

    def _nothing(self, decision: str, unread: list[str] | None = None) -> ConfigurationFile:
        return ConfigurationFile(None, {}, (LookedAt(self._path, decision),), self._warnings(unread or []))

    def _warnings(self, unread: list[str]) -> tuple[str, ...]:
        return tuple(
            f"configuration file {self._path}: the table [{table}] is not read; did you mean [tool.pytheus]?"
            for table in unread
        )

    def _document(self) -> dict[str, object]:
        import tomllib

        subject = f"configuration file {self._path}{self._source}"
        if self._content.startswith(b"\xef\xbb\xbf"):
            raise ConfigurationError(f"{subject} begins with a byte order mark; save it as UTF-8 without one")
        text = self._text()
        if text is None:
            raise self._not_text()
        # The parser's errors are not chained: they may repeat the content, which may have credentials.
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            words = str(error)
        except RecursionError:
            words = "it is nested too deeply"
        except Exception as error:
            # An integer of more digits than Python converts, and anything that a later version of the parser raises.
            words = "a number is too long" if "digits" in str(error) else type(error).__name__
        raise ConfigurationError(f"{subject} is not valid TOML: {words}")

    def _not_text(self) -> ConfigurationError:
        return ConfigurationError(
            f"configuration file {self._path}{self._source} is not valid TOML: it is not UTF-8 text; save it as UTF-8"
        )

    def _check_size(self, table: object) -> None:
        """Refuse a table that is nested deeply, or has an integer that TOML does not allow."""
        remaining: list[tuple[object, int]] = [(table, 0)]
        while remaining:
            value, depth = remaining.pop()
            if depth > _MAX_DEPTH:
                raise ConfigurationError(f"{self._path}: [tool.pytheus] is nested in more than {_MAX_DEPTH} levels")
            if isinstance(value, dict):
                remaining += [(held, depth + 1) for held in value.values()]
            elif isinstance(value, list):
                remaining += [(held, depth + 1) for held in value]
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ConfigurationError(
                    f"{self._path}: [tool.pytheus] has an integer of more than 64 bits, which TOML does not allow"
                )


# Names that are nearly right ------------------------------------------------------------------------------------------


def _mentions_a_similar_word(content: bytes) -> bool:
    letters = set(_NAME.encode())
    words = (word for word in set(re.findall(_WORD, content.lower())) if len(letters & set(word)) > len(letters) - 3)
    return any(_is_similar(word.decode("ascii"), _NAME) for word in words)


def _is_similar(word: str, name: str) -> bool:
    """Whether at most two edits, one of which may swap neighbours, make `name` of `word`, in any case.

    https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance, the optimal string alignment. `difflib` would take
    "pytest" for "pytheus".
    """
    word = word.lower()
    if abs(len(word) - len(name)) > _MAX_EDITS:
        return False
    before: list[int] = []
    row = list(range(len(name) + 1))
    for i, letter in enumerate(word, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(name, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == name[j - 2] and word[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1] <= _MAX_EDITS


def _unread_tables(document: Mapping[str, object]) -> list[str]:
    """The tables of `document` that were probably meant as ``[tool.pytheus]``, as they are written."""
    unread: list[str] = []
    for key, value in document.items():
        if not isinstance(value, dict):
            continue
        if _is_similar(key, _NAME) or key == f"tool.{_NAME}":
            unread.append(key)
        elif _is_similar(key, "tool"):
            unread += [
                f"{key}.{inner}"
                for inner, held in value.items()
                if isinstance(held, dict) and _is_similar(inner, _NAME) and (key, inner) != ("tool", _NAME)
            ]
    return unread
