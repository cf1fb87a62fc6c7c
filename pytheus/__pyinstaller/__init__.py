"""The hook by which PyInstaller finds the modules that a frozen program needs of pytheus.

PyInstaller asks the entry point of the group `pyinstaller40` for the folders of hooks, so a program needs no option.
https://pyinstaller.org/en/stable/hooks.html

The hook, `hooks/hook-pytheus.py`, is data and not a module, because only PyInstaller can run it.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["hook_folders"]


def hook_folders() -> list[str]:
    """Return the folders of hooks."""
    return [str(Path(__file__).with_name("hooks"))]
