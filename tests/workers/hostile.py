"""Receivers that misbehave: each is a coroutine that gets the connection once the request has been read."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Hostile = Callable[[Reader, Writer], Awaitable[None]]


def says(raw: bytes) -> Hostile:
    """Answers with those bytes and closes."""

    async def act(_: Reader, writer: Writer) -> None:
        writer.write(raw)
        await writer.drain()

    return act


def status(code: int, *headers: str, body: bytes = b"") -> Hostile:
    lines = [f"HTTP/1.1 {code} X", f"content-length: {len(body)}", *headers, "", ""]
    return says("\r\n".join(lines).encode() + body)


async def hang(_: Reader, writer: Writer) -> None:
    await asyncio.sleep(60)


async def drip_headers(_: Reader, writer: Writer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def drip_body(_: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.2)


class Endless:
    """A body of ten gigabytes; ``sent`` tells how much of it was taken."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, _: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n")
        piece = b"x" * 65_536
        while True:
            writer.write(piece)
            await writer.drain()
            self.sent += len(piece)


def gzip_bomb() -> Hostile:
    packed = gzip.compress(bytes(50_000_000), 9)
    return status(200, "content-encoding: gzip", body=packed)


def megabyte_header() -> Hostile:
    return status(200, "x-big: " + "a" * 1_000_000)


async def many_headers(_: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-one: more\r\n" * 1_000)
        await writer.drain()


async def continue_for_ever(_: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def reset(_: Reader, writer: Writer) -> None:
    made: socket.socket = writer.get_extra_info("socket")
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(act: Hostile, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve ``act`` on loopback; the port. Whoever still misbehaves at the end is cut off."""
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: Reader, writer: Writer) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                await act(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    def accept(reader: Reader, writer: Writer) -> None:
        task = asyncio.create_task(answer(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tuple(tasks), return_exceptions=True)
        await asyncio.sleep(0.01)


class Authority:
    """A certificate authority of the test's own, and the servers that it certified, well or badly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._certify(self.name, self.key, days=1, is_authority=True)

    def _certify(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: int,
        host: str = "",
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, host: str, *, days: int = 1, is_self_signed: bool = False) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._certify(name, key, days=days, host=host)
        if is_self_signed:
            stranger = Authority.__new__(Authority)
            stranger.key, stranger.name = key, name
            certificate = stranger._certify(name, key, days=days, host=host)
        path = self.folder / f"{host}-{days}-{is_self_signed}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client(self) -> ssl.SSLContext:
        """What trusts this authority and nobody else."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)
