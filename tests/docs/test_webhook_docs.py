"""The pages about webhooks: the catalog is fresh, and the receivers that they show take a real delivery."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from quotastack.api.webhooks import example_event
from quotastack.core.events import EVENT_TYPES
from quotastack.core.signing import show_secret, sign_payload

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "concepts" / "webhooks.md").read_text("utf-8")
SECRET = bytes(range(32))


def test_the_catalog_page_is_fresh() -> None:
    script = DOCS / "reference" / "write_event_catalog.py"
    spec = importlib.util.spec_from_file_location("write_event_catalog", script)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (DOCS / "reference" / "event-catalog.md").read_text("utf-8")
    assert page == module.render(), "run: python docs/reference/write_event_catalog.py"
    assert all(f"### {type_}\n" in page for type_ in EVENT_TYPES)


def block(language: str) -> str:
    """The page's only block in that language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def run_receiver(command: list[str]) -> None:
    """Start the receiver, and hold its answers to a good delivery, a repeated one, and three bad ones."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PORT": str(port), "WEBHOOK_SECRET": show_secret(SECRET)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        good = deliver(process, port)
        assert [good, deliver(process, port)] == [204, 204]
        assert deliver(process, port, secret=bytes(32)) == 400
        assert deliver(process, port, age_seconds=600) == 400
        assert deliver(process, port, tamper=True) == 400
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=10)
    assert out.splitlines() == ["credit.granted user_sample"], "handled once, though it came twice"


def deliver(
    process: subprocess.Popen[str],
    port: int,
    *,
    secret: bytes = SECRET,
    age_seconds: int = 0,
    tamper: bool = False,
) -> int:
    import json

    body = json.dumps(example_event("credit.granted"), ensure_ascii=False).encode()
    sent_at = int(time.time()) - age_seconds
    headers = {
        "content-type": "application/json",
        "webhook-id": "evt_1",
        "webhook-timestamp": str(sent_at),
        "webhook-signature": "v1a,xx " + sign_payload(secret, "evt_1", sent_at, body),
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/", data=body + (b" " if tamper else b""), headers=headers, method="POST"
    )
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, process.communicate()
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the receiver never listened"


def test_the_python_receiver(tmp_path: Path) -> None:
    path = tmp_path / "receiver.py"
    path.write_text(block("python"), "utf-8")
    run_receiver([sys.executable, str(path)])


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed here")
def test_the_typescript_receiver(tmp_path: Path) -> None:
    """Its types are all inferred, so that Node runs it as it stands."""
    path = tmp_path / "receiver.mjs"
    path.write_text(block("typescript"), "utf-8")
    run_receiver(["node", str(path)])
