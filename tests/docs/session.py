"""A Python session that runs one document's blocks, one after the other, in one namespace; driven by test_documents.py.

Reads a JSON line `{"file": ..., "line": ..., "source": ...}` for each block and answers with a JSON line
`{"printed": ..., "error": ...}`. Blocks keep their line numbers, so that a traceback points into the document.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import sys
import traceback
import types


def run(namespace: dict[str, object], file: str, line: int, source: str) -> str:
    """Run `source`, statements or an interactive session, and give what went wrong, or ""."""
    try:
        if source.lstrip().startswith(">>> "):
            report = io.StringIO()
            examples = doctest.DocTestParser().get_doctest(source, namespace, file, file, line - 1)
            runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
            runner.run(examples, out=report.write, clear_globs=False)
            namespace.update(examples.globs)
            return report.getvalue()
        exec(compile("\n" * (line - 1) + source, file, "exec"), namespace)
    except BaseException:
        return traceback.format_exc()
    return ""


def main() -> None:
    # What blocks print, and what programs that they start print, must not mix with the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        for request in sys.stdin:
            block = json.loads(request)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                error = run(module.__dict__, block["file"], block["line"], block["source"])
            print(json.dumps({"printed": printed.getvalue(), "error": error}), file=answers, flush=True)


if __name__ == "__main__":
    main()
