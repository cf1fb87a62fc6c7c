"""A headless Chromium, driven over its DevTools protocol. It serves the tests and the figures of the page.

    with Chromium() as browser, browser.tab() as tab:
        tab.open("http://127.0.0.1:9464/metrics")
        title = tab.run("document.title")

Rules:

- The protocol is spoken directly: Debian's `chromium` and the package websockets, which the tests have anyway, are all
  that it needs. Playwright would download a driver of 40 MB that is made for another browser; Selenium has neither the
  list of all requests nor the browser's timings.
- Each tab is a context of its own, with its own storage and cache. It notes each request, message of the console and
  exception from its beginning.
- Keys and the pointer are the browser's own input, not events made by scripts.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from websockets.sync.client import ClientConnection, connect

__all__ = ["Chromium", "ScriptError", "Tab", "program"]

PATIENCE_SECONDS: Final = 30.0
"""How long to wait for a reply or a condition. It bounds a hang."""

_KEYS: Final[Mapping[str, tuple[str, int]]] = {
    "Enter": ("\r", 13),
    "Escape": ("", 27),
    "Tab": ("", 9),
    "ArrowDown": ("", 40),
    "ArrowUp": ("", 38),
    "ArrowLeft": ("", 37),
    "ArrowRight": ("", 39),
    "Home": ("", 36),
    "End": ("", 35),
    "PageDown": ("", 34),
    "PageUp": ("", 33),
    "Backspace": ("", 8),
}
"""The text and the virtual key code of each key that is not a letter."""


class ScriptError(Exception):
    """An exception of the page."""


def program() -> str | None:
    """Return the path of Chromium, or None where it is not installed."""
    return shutil.which("chromium")


class Chromium:
    """A browser process with a profile of its own, which ends with the `with` block."""

    def __init__(self, width: int = 1440, height: int = 900) -> None:
        self._size: Final = (width, height)
        self._exits: Final = contextlib.ExitStack()
        self._numbers: Final = itertools.count(1)
        self._replies: Final[dict[int, dict[str, Any]]] = {}
        self._tabs: Final[dict[str, Tab]] = {}
        self.events: Final[list[tuple[str, dict[str, Any]]]] = []
        """Method and parameters of each event that is not of a tab."""

    def __enter__(self) -> Self:
        path = program()
        if path is None:
            raise FileNotFoundError("chromium is not installed; on Debian: apt-get install chromium")
        try:
            # Chromium may still write as it ends.
            profile = self._exits.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            command = [
                path,
                "--headless=new",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                f"--window-size={self._size[0]},{self._size[1]}",
                # Root has no sandbox, as in most containers, whose /dev/shm is small as well.
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
                "--disable-component-update",
                "--hide-scrollbars",
                "--force-color-profile=srgb",
                "about:blank",
            ]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            self._exits.callback(self._end)
            port, path = self._address(Path(profile, "DevToolsActivePort"))
            # No pings: their thread would draw random numbers, which Hypothesis takes for those of a strategy.
            self._socket: ClientConnection = self._exits.enter_context(
                connect(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None, proxy=None, ping_interval=None)
            )
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _address(self, file: Path) -> tuple[str, str]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                lines = file.read_text("ascii").split()
                if len(lines) == 2:
                    return lines[0], lines[1]
            time.sleep(0.02)
        raise RuntimeError(f"chromium has no DevTools port; its status is {self._process.poll()}")

    @contextlib.contextmanager
    def tab(self) -> Iterator[Tab]:
        """Open a tab in a context of its own, and close it at the end."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        try:
            target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
            session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            tab = self._tabs[session] = Tab(self, session)
            for domain in "Page", "Runtime", "Network", "Log":
                tab.send(f"{domain}.enable")
            yield tab
        finally:
            self.send("Target.disposeBrowserContext", browserContextId=context)

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return the result of a method of the protocol. Raises `ScriptError` if it fails."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while number not in self._replies:
            self.receive(deadline - time.monotonic())
        reply = self._replies.pop(number)
        if "error" in reply:
            raise ScriptError(f"{method}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    def receive(self, seconds: float) -> None:
        """Handle one message. Raises `TimeoutError` after so many seconds without one."""
        message = json.loads(self._socket.recv(max(0.0, seconds)))
        if "id" in message:
            self._replies[message["id"]] = message
        elif "sessionId" not in message:
            self.events.append((message["method"], message["params"]))
        elif (tab := self._tabs.get(message["sessionId"])) is not None:
            tab.noted(message["method"], message["params"])


class Tab:
    """A page in the browser."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser: Final = browser
        self._session: Final = session
        self.requests: Final[list[str]] = []
        """The address of each request, also of those that the policy of the page blocked."""
        self.errors: Final[list[str]] = []
        """Errors and warnings of the console, exceptions, and violations of policies."""
        self.statuses: Final[list[int]] = []
        """The status of each response."""

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a method of the protocol in this tab."""
        return self._browser.send(method, self._session, **parameters)

    def noted(self, method: str, event: dict[str, Any]) -> None:
        """Keep the part of an event that the tests read."""
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Network.responseReceived":
            self.statuses.append(event["response"]["status"])
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(each.get("value", each.get("description"))) for each in event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{event['entry']['text']} {event['entry'].get('url', '')}".strip())

    def open(self, url: str) -> None:
        """Go to an address, and return when its document is parsed."""
        failed = self.send("Page.navigate", url=url).get("errorText")
        if failed:
            raise ScriptError(f"{url}: {failed}")
        self.wait("document.readyState !== 'loading'")

    def reload(self) -> None:
        """Load the page again."""
        self.run("globalThis.isOld = true")
        self.send("Page.reload")
        self.wait("!globalThis.isOld && document.readyState !== 'loading'")

    def run(self, script: str) -> Any:
        """Return the value of an expression as of JSON. It may `await`, and knows the top-level names of the page."""
        parameters = {"awaitPromise": True, "returnByValue": True, "userGesture": True, "replMode": True}
        result = self.send("Runtime.evaluate", expression=script, **parameters)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise ScriptError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait(self, condition: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Return the value of an expression once it is true."""
        value: Any = None

        def is_true() -> bool:
            nonlocal value
            try:
                value = self.run(condition)
            except ScriptError as error:
                value = error
                # The document is being replaced.
                return False
            return bool(value)

        self.wait_for(is_true, condition, seconds)
        return value

    def wait_for(self, condition: Callable[[], bool], awaited: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Return once `condition()` is true. Raises `TimeoutError`, which names `awaited`, if it never is."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s in vain for {awaited}")
            with contextlib.suppress(TimeoutError):
                self._browser.receive(0.02)

    def text(self, selector: str) -> str:
        """Return the visible text of the first element that `selector` selects, "" without one."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def press(self, *keys: str) -> None:
        """Press and release keys one after another: letters, or names such as "Enter"; "Shift+Tab" holds Shift."""
        for each in keys:
            *modifiers, key = each.split("+") if len(each) > 1 else [each]
            text, code = _KEYS.get(key, (key, ord(key[0].upper())))
            shift = 8 if "Shift" in modifiers else 0
            event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": shift}
            typed = {"text": text} if text else {}
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event, **typed)
            self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Type a text into the element that has the focus, letter by letter."""
        for letter in text:
            self.press(letter)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that `selector` selects."""
        found = self.wait(
            f"(() => {{ const element = document.querySelector({json.dumps(selector)}); if (!element) return null;"
            " element.scrollIntoView({block: 'nearest'}); const box = element.getBoundingClientRect();"
            " return box.width ? [box.x + box.width / 2, box.y + box.height / 2] : null; })()"
        )
        for kind in "mouseMoved", "mousePressed", "mouseReleased":
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], **button)

    def emulate(self, *, width: int = 1440, height: int = 900, **features: str) -> None:
        """Set the size of the window and media features, as ``prefers_color_scheme="dark"``."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        pairs = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", features=pairs)

    def screenshot(self, path: Path) -> None:
        """Save the visible part of the page as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
