"""A real Redis or Valkey server on a socket in a folder, for as long as it is needed."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""Settings under which nothing that was acknowledged is lost."""
PATIENCE_SECONDS = 120.0


def redis_program() -> str | None:
    """The server's program, where one is installed."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


@contextmanager
def running_redis(program: str, folder: Path, *settings: str) -> Iterator[str]:
    """A server without a port and, unless the settings say otherwise, without files; its URL. It is killed at last."""
    path = folder / "redis.sock"
    path.unlink(missing_ok=True)
    where = ["--port", "0", "--unixsocket", str(path), "--dir", str(folder)]
    command = [program, *where, "--save", "", "--loglevel", "warning", *settings]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until_answers(server, path)
        yield f"unix://{path}"
    finally:
        server.kill()
        server.wait()
        path.unlink(missing_ok=True)


def wait_until_answers(server: "subprocess.Popen[bytes]", path: Path) -> None:
    """Return once the server has loaded its files. Raises RuntimeError when it ends or takes too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not _answers(path):
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the Redis server did not start")
        time.sleep(0.005)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        if asking.connect_ex(str(path)) != 0:
            return False
        asking.sendall(b"PING\r\n")
        return not asking.recv(64).startswith(b"-LOADING")
