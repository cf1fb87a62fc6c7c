"""The response to one scrape on an event loop: asyncio's, trio's, or another one, which is blocked meanwhile.

A client that has left is noticed by the message `http.disconnect`. It is received only if the scrape takes more than a
moment.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Final, TypeAlias

from pytheus.exposition.respond import Pending, Response, ScrapeRequest, answer_scrape, pending_steps
from pytheus.registry.contract import Registry

__all__ = ["answer_scrape_async", "send_in_time"]

Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_SEND_SECONDS: Final = 30.0  # as the built-in server


async def answer_scrape_async(registry: Registry, request: ScrapeRequest, receive: Receive) -> Response | None:
    """Return the response to a scrape of `registry`, or None if the client has left."""
    wait = _wait_on_this_loop()
    if wait is None:
        return answer_scrape(registry, **request._asdict())
    steps = pending_steps(registry, request)
    try:
        pending = next(steps)
        while True:
            response = pending.poll() or await wait(pending, receive)
            if response is None:
                return None
            pending = steps.send(response)
    except StopIteration as end:
        final: Response = end.value
        return final


async def send_in_time(messages: Iterable[Message], send: Send) -> None:
    """Send all messages, or leave a client that has not taken them within 30 seconds: the server then closes it."""
    wait = _wait_on_this_loop()
    if wait is _wait_on_trio:
        import trio

        with trio.move_on_after(_SEND_SECONDS):
            await _send_all(messages, send)
    elif wait is _wait_on_asyncio:
        import asyncio

        limit = asyncio.timeout(_SEND_SECONDS)
        try:
            async with limit:
                await _send_all(messages, send)
        except TimeoutError:
            if not limit.expired():
                raise  # an error of the server
    else:
        await _send_all(messages, send)


async def _send_all(messages: Iterable[Message], send: Send) -> None:
    for message in messages:
        await send(message)


def _wait_on_this_loop() -> Callable[[Pending, Receive], Awaitable[Response | None]] | None:
    """Return how to wait on the event loop that runs, or None if it is unknown."""
    if "trio" in sys.modules:
        import trio

        if trio.lowlevel.in_trio_run():
            return _wait_on_trio
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    return _wait_on_asyncio


async def _wait_on_asyncio(pending: Pending, receive: Receive) -> Response | None:
    import asyncio

    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(woken.set)
        except RuntimeError:
            pass  # the loop is closed

    pending.subscribe(wake)
    leaving: asyncio.Task[bool] | None = None
    try:
        while True:
            timer = loop.call_later(pending.pause_seconds(), woken.set)
            try:
                await woken.wait()
            finally:
                timer.cancel()
            woken.clear()
            response = pending.poll()
            if response is not None:
                return response
            if leaving is None:
                leaving = asyncio.ensure_future(_client_leaves(receive))
            elif leaving.done() and not leaving.cancelled() and leaving.result():
                return None
    finally:
        if leaving is not None:
            leaving.cancel()


async def _wait_on_trio(pending: Pending, receive: Receive) -> Response | None:
    import trio

    token = trio.lowlevel.current_trio_token()
    woken = trio.Event()
    has_left = False

    def wake() -> None:
        try:
            token.run_sync_soon(lambda: woken.set())
        except trio.RunFinishedError:
            pass

    async def watch() -> None:
        nonlocal has_left
        if await _client_leaves(receive):
            has_left = True
            woken.set()

    pending.subscribe(wake)
    async with trio.open_nursery() as nursery:
        is_watched = False
        while True:
            with trio.move_on_after(pending.pause_seconds()):
                await woken.wait()
            woken = trio.Event()
            response = pending.poll()
            if response is not None or has_left:
                nursery.cancel_scope.cancel()
                return response
            if not is_watched:
                is_watched = True
                nursery.start_soon(watch)


async def _client_leaves(receive: Receive) -> bool:
    """Read the rest of the request, and return whether the client has closed its connection, once that is known."""
    is_complete = False
    while True:
        try:
            message = await receive()
        except Exception:
            return False  # the server does not tell
        if message["type"] == "http.disconnect":
            return True
        if is_complete:
            return False  # such a `receive` never waits, and asking it again would keep the loop busy
        is_complete = not message.get("more_body", False)
