"""One WebSocket of an ASGI application, as far as it is measured.

Rules:

- It lasts until one side closes it. Its status is 101 once it is accepted, and that of the response if it is refused.
- A close code that a client may choose freely is its range, such as ``4xxx``.

https://asgi.readthedocs.io/en/latest/specs/www.html#websocket
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pytheus.middleware.asgi_exchange import AsgiExchange
from pytheus.middleware.exchange import INCOMPLETE, OTHER, PROTOCOLS, SCHEMES

if TYPE_CHECKING:
    from pytheus.exposition.asgi import Message

__all__ = ["WebSocketExchange"]

_SWITCHING_PROTOCOLS: Final = 101
_FORBIDDEN: Final = 403
_NORMAL: Final = 1000
_NO_STATUS: Final = 1005


class WebSocketExchange(AsgiExchange):
    """A WebSocket, with the `receive` and `send` that the application gets."""

    close_code: str = ""

    def read_request(self) -> None:
        """Read the scope before routers change it."""
        scope = self.source
        self.method: str = "GET"
        self.unfinished: str = INCOMPLETE
        self.scheme: str = SCHEMES.get(scope.get("scheme", "ws"), OTHER)
        self.protocol: str = PROTOCOLS.get(scope.get("http_version", "1.1"), OTHER)
        self.path: str = cast("str", scope["path"])

    def note_received(self, message: Message) -> None:
        """Note a message that the application receives."""
        if message["type"] == "websocket.disconnect":
            self.is_disconnected = True
            if self.status:
                self.close(message, _NO_STATUS)

    def note_sent(self, message: Message) -> None:
        """Note a message that the server has taken."""
        kind = message["type"]
        if kind == "websocket.accept":
            self.start(_SWITCHING_PROTOCOLS)
        elif kind == "websocket.close":
            if self.status:
                self.close(message, _NORMAL)
            else:
                self.start(_FORBIDDEN)
                self.end()
        elif kind == "websocket.http.response.start":
            self.start(cast("int", message["status"]))
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.end()

    def close(self, message: Message, default: int) -> None:
        """End the exchange by the close code of `message`."""
        code = message.get("code", default)
        if isinstance(code, int):
            # https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2: codes from 3000 on belong to programs.
            self.close_code = str(code) if 1000 <= code < 1100 else f"{code // 1000}xxx" if code in _OWN else OTHER
        self.end()


_OWN: Final = range(3000, 5000)
