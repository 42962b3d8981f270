"""Bytes below the framework: torn, oversized, smuggled and random requests on a plain socket.

Each is answered with a status below 500 or by closing the connection, in time, and the server lives.
"""

import os
import random
import re
import socket
import time
from collections import Counter
from typing import Any

from tests.rigs.figures import IS_LONG, tell

CASES = 20_000 if IS_LONG else 2_000
SECONDS_MAX = 8.0
CLOSED = "closed"
_status = re.compile(rb"^HTTP/1\.[01] (\d{3}) ")


def corpus(key: str) -> list[bytes]:
    """Requests that are wrong in one way each."""
    head = f"POST /v1/usage HTTP/1.1\r\nHost: rig\r\nX-API-Key: {key}\r\n".encode()
    typed = head + b"Content-Type: application/json\r\n"
    get = f"GET /v1/customers HTTP/1.1\r\nHost: rig\r\nX-API-Key: {key}\r\n".encode()
    return [
        b"",
        b"\x00" * 512,
        b"\r\n" * 64,
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: rig\r\n\r\n",
        b"GET /v1/customers?" + b"a=1&" * 10_000 + b" HTTP/1.1\r\nHost: rig\r\n\r\n",
        get + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        get + b"".join(b"X-%d: y\r\n" % number for number in range(2_000)) + b"\r\n",
        get + b"X-Bad: a\x00b\r\n\r\n",
        get + b"X-Bad\x80: \xff\xfe\r\n\r\n",
        get + b" folded: header\r\n\r\n",
        get + f"X-API-Key: {key}x\r\n\r\n".encode(),
        b"GET /v1/customers/%00 HTTP/1.1\r\nHost: rig\r\nX-API-Key: " + key.encode() + b"\r\n\r\n",
        b"GET /v1/customers/%ff%fe HTTP/1.1\r\nHost: rig\r\nX-API-Key: " + key.encode() + b"\r\n\r\n",
        b"GET /v1/customers/\xff\xfe HTTP/1.1\r\nHost: rig\r\n\r\n",
        typed + b"Content-Length: -1\r\n\r\n{}",
        typed + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        typed + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        typed + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        typed + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        typed + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        typed + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        typed + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
        typed + b"Content-Length: 8\r\n\r\n\xef\xbb\xbf{}\x00\x00\x00",
        typed + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
        typed + b'Content-Length: 12\r\n\r\n{"a":"\xed\xa0\x80"}',
        typed + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        head + b"Content-Type: application/json; charset=utf-16\r\nContent-Length: 2\r\n\r\n{}",
        typed + b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\n{}",
        (get + b"\r\n") * 20,
    ]


def mutated(chance: random.Random, request: bytes) -> bytes:
    """The request with bytes changed, cut, doubled or put in."""
    data = bytearray(request or os.urandom(64))
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[place : place + chance.randint(1, 40)]
            case 2:
                data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
            case _:
                data[place:place] = data[place : place + 30]
        if not data:
            return b""
    return bytes(data)


def send(port: int, request: bytes, *, is_ended: bool) -> tuple[str, float]:
    """The first status that came back, or how the connection ended, and after how long.

    ``is_ended`` says that nothing more comes; without it whoever misses something may wait for it.
    """
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), SECONDS_MAX) as link:
        told = b""
        try:
            link.sendall(request)
            if is_ended:
                link.shutdown(socket.SHUT_WR)
            while not _status.match(told):
                part = link.recv(65_536)
                if not part:
                    break
                told += part
        except TimeoutError:
            return "hangs", time.monotonic() - started
        except OSError:
            pass
    match = _status.match(told)
    return (match[1].decode() if match else CLOSED), time.monotonic() - started


def test_garbage_is_refused(server: Any, tenant: Any) -> None:
    chance = random.Random(6)
    known = corpus(tenant.test_key)
    told: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = 0.0
    good = f"GET /v1/billable-metrics HTTP/1.1\r\nHost: rig\r\nX-API-Key: {tenant.test_key}\r\n\r\n".encode()
    for number in range(CASES):
        request = known[number] if number < len(known) else mutated(chance, chance.choice(known))
        is_after_good = number % 4 == 3
        if is_after_good:  # On a connection that was in order until then: the first answer is as ever.
            request = good + request
        status, seconds = send(server.port, request, is_ended=not is_after_good)
        told[status] += 1
        slowest = max(slowest, seconds)
        if status == "hangs" or status.startswith("5") or (is_after_good and status != "200"):
            wrong.append(f"{status} {request[:200]!r}")
    assert server.process.poll() is None
    ran = f"{CASES} raw requests: {dict(told)}, slowest {slowest:.2f} s"
    tell("P21", ran=ran, cases=CASES, violations=len(wrong))
    assert not wrong, "\n".join(wrong[:10])
    assert "mistake of ours" not in server.log.read_text()
