"""Bytes of a terminal as keys.

A key is a name, such as "up" or "enter", or the text that was typed, of one character. The sequences are those that
terminals send in their normal and application modes.
https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["KeyDecoder"]

_ESCAPE: Final = 0x1B
# CSI parameters and a final byte; SS3 and its byte.
_SEQUENCE: Final = re.compile(rb"\x1b(?:\[\[?([0-?]*)[ -/]*([@-~])|O([ -~]))")
_BEGINNING: Final = re.compile(rb"\x1b(?:\[\[?[0-?]*[ -/]*|O)?\Z")
_SEQUENCE_BYTES_AT_MOST: Final = 32

_FINALS: Final = {
    b"A": "up",
    b"B": "down",
    b"C": "right",
    b"D": "left",
    b"H": "home",
    b"F": "end",
    b"M": "enter",
    b"Z": "backtab",
}
_TILDES: Final = {
    b"1": "home",
    b"3": "delete",
    b"4": "end",
    b"5": "pageup",
    b"6": "pagedown",
    b"7": "home",
    b"8": "end",
}
_CONTROLS: Final = {
    0x01: "home",
    0x02: "pageup",
    0x03: "interrupt",
    0x04: "pagedown",
    0x05: "end",
    0x06: "pagedown",
    0x08: "backspace",
    0x09: "tab",
    0x0A: "enter",
    0x0C: "redraw",
    0x0D: "enter",
    0x0E: "down",
    0x10: "up",
    0x15: "clear",
    0x17: "word",
    0x7F: "backspace",
}


class KeyDecoder:
    """Turns bytes, as they come, into keys; an incomplete sequence waits for its rest.

    >>> keys = KeyDecoder()
    >>> keys.feed(b"j\\x1b[A\\x1b["), keys.is_waiting, keys.feed(b"6~")
    (['j', 'up'], True, ['pagedown'])
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_waiting(self) -> bool:
        """Whether the last bytes may be the beginning of a sequence; the Escape key alone is such a beginning."""
        return bool(self._rest)

    def flush(self) -> list[str]:
        """Return the keys of a sequence that did not go on."""
        rest, self._rest = self._rest, b""
        return ["escape"] if rest[:1] == b"\x1b" else []

    def feed(self, data: bytes) -> list[str]:
        """Return the keys that `data` completes."""
        data = self._rest + data
        self._rest = b""
        keys: list[str] = []
        place = 0
        while place < len(data):
            byte = data[place]
            if byte == _ESCAPE:
                match = _SEQUENCE.match(data, place)
                if match is not None:
                    place = match.end()
                    name = _FINALS.get(match[2] or match[3])
                    if match[2] == b"~":
                        name = _TILDES.get(match[1].partition(b";")[0])
                    if name is not None:
                        keys.append(name)
                    continue
                rest = data[place:]
                if _BEGINNING.match(rest) and len(rest) <= _SEQUENCE_BYTES_AT_MOST:
                    self._rest = rest
                    break
                keys.append("escape")
                place += 1
                continue
            if byte < 0x20 or byte == 0x7F:
                if byte in _CONTROLS:
                    keys.append(_CONTROLS[byte])
                place += 1
                continue
            length = (
                1 if byte < 0x80 else 2 if byte >> 5 == 6 else 3 if byte >> 4 == 14 else 4 if byte >> 3 == 30 else 0
            )
            if length > len(data) - place:
                self._rest = data[place:]
                break
            try:
                keys.append(data[place : place + length].decode("utf-8") if length else "")
            except UnicodeDecodeError:
                length = 1
            place += length or 1
            if keys and not keys[-1]:
                keys.pop()
        return keys
