"""A headless Chromium that is controlled through its debugging pipe."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpoq.ui.server import PageServer

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--proxy-server=direct://", "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and answers on 4. A NUL byte ends each JSON text.
LEAD = 'reading=$1 writing=$2; shift 2; eval "exec \\"\\$@\\" 3<&$reading 4>&$writing"'


class Browser:
    """A page in the browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._pending = b""
        self._numbers = itertools.count(1)
        self._page = ""
        self.complaints: list[str] = []  # exceptions and error messages of scripts
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        found = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._page = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Open an address and wait until it has loaded."""
        self._call("Page.navigate", url=address)
        self.wait_for(
            f"location.href === {json.dumps(address)} && document.readyState === 'complete'"
        )

    def enter(self, pages: PageServer) -> None:
        """Open the address with the access token, and wait for the overview."""
        self._call("Page.navigate", url=pages.address)
        self.wait_for(
            f"location.href === {json.dumps(pages.url)} && document.readyState === 'complete'"
        )

    def show(self, width: int, scheme: str) -> None:
        """Emulate a screen of some width, and the color scheme ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)
        self._size(width, 800)

    def get(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 30) -> Any:
        """Wait until an expression is true and return its value."""
        until = time.monotonic() + seconds
        while not (value := self.get(expression)):
            assert time.monotonic() < until, (expression, self.get("document.body.innerText"))
            time.sleep(0.05)
        return value

    def picture(self, file: Path, width: int, most: int = 1700) -> None:
        """Save the page, or its upper part up to so many pixels, as a small WebP image."""
        height = min(most, self.get("document.documentElement.scrollHeight"))
        self._size(width, height)
        self.get("window.dispatchEvent(new Event('resize'))")
        time.sleep(1.5)  # plotly redraws after a resize and does not report when it is done
        taken = self._call("Page.captureScreenshot", format="webp", quality=40)
        file.write_bytes(base64.b64decode(taken["data"]))

    def _size(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        request: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._page:
            request["sessionId"] = self._page
        os.write(self._commands, json.dumps(request).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == number:
                assert "error" not in said, said["error"]
                result: dict[str, Any] = said["result"]
                return result
            self._note(said)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            chunk = os.read(self._answers, 1 << 16)
            assert chunk, "the browser has ended"
            self._pending += chunk
        text, _, self._pending = self._pending.partition(b"\0")
        said: dict[str, Any] = json.loads(text)
        return said

    def _note(self, event: dict[str, Any]) -> None:
        match event["method"]:
            case "Runtime.exceptionThrown":
                self.complaints.append(str(event["params"]["exceptionDetails"]))
            case "Log.entryAdded" if event["params"]["entry"]["level"] == "error":
                self.complaints.append(event["params"]["entry"]["text"])
            case "Network.requestWillBeSent":
                address = event["params"]["request"]["url"]
                if not address.startswith(("http://127.0.0.1:", "data:", "blob:", "about:")):
                    self.complaints.append(f"asks for {address}")


@contextlib.contextmanager
def headless(profile: Path) -> Iterator[Browser]:
    """Start a browser for the block, or skip the test where no browser is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    reading, commands = os.pipe()
    answers, writing = os.pipe()
    command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", LEAD, "bash", str(reading), str(writing), *command],
        pass_fds=(reading, writing),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reading)
    os.close(writing)
    try:
        yield Browser(commands, answers)
    finally:
        os.close(commands)  # the browser exits at the end of its input
        os.close(answers)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
