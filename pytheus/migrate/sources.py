"""Files and folders of Python sources: which are read, how they differ when rewritten, and how they are written.

Rules:

- One file is in memory at a time.
- A file that cannot be read or parsed is reported and left as it is; the others are rewritten.
- A file is replaced in one step by a complete one with the same mode, so an interruption loses nothing.
"""

from __future__ import annotations

import difflib
import io
import os
import shutil
import tempfile
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import libcst as cst

from pytheus.migrate.exports import MAX_BYTES, Exports
from pytheus.migrate.rewriting import rewrite
from pytheus.migrate.tables import Remark
from pytheus.regular_files import read_regular_file

__all__ = ["Outcome", "difference", "migrate", "replace", "sources"]

_SKIPPED: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv", "env"})


class Outcome(NamedTuple):
    """A file `before` and `after`, the remarks on it, the calls rewritten, and why it could not be read, or ""."""

    path: Path
    before: bytes = b""
    after: bytes = b""
    remarks: tuple[Remark, ...] = ()
    calls: int = 0
    problem: str = ""


def sources(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among `paths`, and the Python files in the folders among them, in alphabetical order, each once.

    Folders of environments, of versions and of other programs are skipped, and links to folders are not followed.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _python_files(path) if path.is_dir() else [path]:
            resolved = file.resolve()
            if resolved not in seen:
                seen.add(resolved)
                yield file


def _python_files(folder: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(
            each
            for each in folders
            if each not in _SKIPPED
            and not each.startswith(".")
            and not os.path.exists(os.path.join(directory, each, "pyvenv.cfg"))
        )
        yield from (Path(directory, each) for each in sorted(files) if each.endswith((".py", ".pyi")))


def migrate(paths: Iterable[Path]) -> Iterator[Outcome]:
    """Rewrite each of `sources(paths)`, in memory."""
    known = list(sources(paths))
    exports = Exports(known)
    return (_outcome(path, exports) for path in known)


def _outcome(path: Path, exports: Exports) -> Outcome:
    try:
        if path.stat().st_size > MAX_BYTES:
            return Outcome(path, problem=f"has {path.stat().st_size} bytes; expected at most {MAX_BYTES}: split it")
        before, _ = read_regular_file(path, MAX_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the source
            rewritten = rewrite(before, exported=exports.exported(path), through=exports.through(path))
    except OSError as error:
        return Outcome(path, problem=f"cannot be read: {error.strerror}")
    except cst.ParserSyntaxError as error:
        return Outcome(path, problem=f"line {error.raw_line} is not Python that can be parsed; correct it")
    except (UnicodeDecodeError, LookupError, SyntaxError) as error:
        return Outcome(path, problem=f"is not text in its encoding ({error}); save it as UTF-8")
    except (RecursionError, cst.CSTValidationError) as error:
        return Outcome(path, problem=f"cannot be parsed ({type(error).__name__}); rewrite it by hand")
    remarks = tuple(sorted({*rewritten.remarks, *exports.remarks(path)}))
    return Outcome(path, before, rewritten.source, remarks, rewritten.calls)


def difference(outcome: Outcome) -> str:
    """The unified difference between the file before and after, "" if they are equal."""
    if outcome.before == outcome.after:
        return ""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(outcome.before).readline)
    name = outcome.path.as_posix().lstrip("/")
    lines = difflib.unified_diff(
        outcome.before.decode(encoding).splitlines(keepends=True),
        outcome.after.decode(encoding).splitlines(keepends=True),
        f"a/{name}",
        f"b/{name}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def replace(outcome: Outcome) -> None:
    """Write the rewritten file in place of the one before; raises OSError, and then the file is as it was."""
    target = outcome.path.resolve()  # a link stays a link
    descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(outcome.after)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, draft)
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise
