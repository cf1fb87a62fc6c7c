"""The protobuf format as text: each field by its name, as ``protoc --decode`` prints it.

https://protobuf.dev/reference/protobuf/textformat-spec/. Fields that the schema lacks are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytheus.testing.protobuf_schema import METRIC_TYPES, TEXT
from pytheus.testing.protobuf_wire import Message, MessageReader

__all__ = ["protobuf_text"]

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def protobuf_text(body: bytes) -> str:
    """Return the delimited messages ``MetricFamily`` in `body` as text, with an empty line after each.

    Raises `ValueError` for damage, with its byte.

        >>> print(protobuf_text(bytes.fromhex("12 0a0161 1801 220b 1209 09 000000000000f03f")), end="")
        name: "a"
        type: GAUGE
        metric {
          gauge {
            value: 1.0
          }
        }
    """
    pieces: list[str] = []
    for family in MessageReader(body).families():
        pieces += _lines(family, "")
        pieces.append("")
    return "\n".join(pieces)


def _lines(message: Message, indent: str) -> Iterator[str]:
    for number in sorted({*message.numbers, *message.parts}):
        field = message.schema[number]
        if field.name == "type":
            index = int(message.number(number))
            yield f"{indent}type: {METRIC_TYPES[index] if index < len(METRIC_TYPES) else index}"
        elif field.message:
            found = message.message(number)
            for nested in message.messages(number) if field.is_repeated or found is None else [found]:
                yield f"{indent}{field.name} {{"
                yield from _lines(nested, indent + "  ")
                yield f"{indent}}}"
        elif field.kind is TEXT:
            yield f"{indent}{field.name}: {_quoted(message.text(number))}"
        elif field.is_repeated:
            for value in message.numbers[number]:
                yield f"{indent}{field.name}: {value!r}"
        else:
            value = message.number(number)
            shown = value if isinstance(value, float) else message.signed64(number) if value >= 1 << 63 else value
            yield f"{indent}{field.name}: {shown!r}"


def _quoted(text: str) -> str:
    pieces: list[str] = []
    for character in text:
        if character in _ESCAPES:
            pieces.append(_ESCAPES[character])
        elif character.isprintable():
            pieces.append(character)
        else:  # also those that change the direction of writing
            pieces += [f"\\{byte:03o}" for byte in character.encode()]
    return f'"{"".join(pieces)}"'
