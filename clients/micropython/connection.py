"""One HTTP/1.1 connection to Earshot kept open: bodies go out while they are made and come in piece by piece."""

import json
import select
import socket
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

TIMEOUT_S = 10
"""How long connecting, sending and each piece of an answer may take."""
POLL_MS = 20
MAX_LINE_BYTES = 1024
MAX_LINES = 50
MAX_ERROR_BYTES = 1024


class Refused(Exception):
    """The server answered, but not with what was asked for."""

    def __init__(self, status: int, code: str, message: str, wait_s: int) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.wait_s = wait_s


class Connection:
    """Requests one after the other; OSError means that the server cannot be reached or was lost."""

    def __init__(self, url: str, token: str, session: str) -> None:
        scheme, _, rest = url.partition("://")
        if scheme != "http" or not rest:
            raise ValueError("SERVER_URL must begin with http:// (this client knows no TLS)")
        host, _, port = rest.split("/")[0].partition(":")
        self._host = host
        self._port = int(port or 80)
        self._head = "Host: " + rest.split("/")[0] + "\r\n"
        if token:
            self._head += "Authorization: Bearer " + token + "\r\n"
        if session:
            self._head += "X-Session-Id: " + session + "\r\n"
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._received = b""
        self._left_bytes = 0
        self._again = b""
        self.status = 0
        "Of the last answer."
        self._fields: dict = {}

    # ---- asking ------------------------------------------------------------------------------------------------------

    def get(self, path: str) -> None:
        """Send a request without a body; a connection that the server closed meanwhile is opened again."""
        self._send_head("GET", path, "")

    def post(self, path: str, content_type: str) -> None:
        """Begin a request whose body follows with send(), on a connection that is surely alive."""
        self.close()
        self._send_head("POST", path, "Content-Type: " + content_type + "\r\nTransfer-Encoding: chunked\r\n")

    def send(self, piece: memoryview) -> None:
        """Send a piece of the body."""
        self._write(b"%x\r\n" % len(piece))
        self._write(piece)
        self._write(b"\r\n")

    def end_body(self) -> None:
        """Say that the body is complete."""
        self._write(b"0\r\n\r\n")

    # ---- the answer --------------------------------------------------------------------------------------------------

    def is_answered(self, wait_ms: int = 0) -> bool:
        """Wait so long, and say whether an answer has begun to come."""
        return bool(self._received) or bool(self._poll.poll(wait_ms))

    def wait_for_answer(self, timeout_s: float, gives_up) -> bool:  # type: ignore[no-untyped-def]
        """Return True when the answer comes, False when gives_up() says so first; raises OSError after the timeout."""
        begun_ms = ticks_ms()
        while not self.is_answered(POLL_MS) or not self._begin_answer():
            if gives_up():
                return False
            if ticks_diff(ticks_ms(), begun_ms) > timeout_s * 1000:
                raise OSError(f"no answer came in {timeout_s:g} s")
        return True

    def read_head(self) -> int:
        """Read the head of the answer and return its status; raises Refused where it tells an error."""
        parts = self._read_line().split(None, 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
            raise OSError("what answers is no HTTP server")
        self.status = int(parts[1])
        self._read_fields()
        self._left_bytes = 0 if self.status == 204 else int(self._fields.get("content-length", 0))
        if self.status >= 300:
            raise self._refusal()
        return self.status

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes of the body and return how many there were; 0 at its end."""
        n_read = 0
        while self._left_bytes and n_read < len(buffer):
            piece = self._receive(min(self._left_bytes, len(buffer) - n_read))
            buffer[n_read : n_read + len(piece)] = piece
            n_read += len(piece)
            self._left_bytes -= len(piece)
        return n_read

    def skip_body(self) -> None:
        """Read what is left of the answer, and keep the connection for the next request where the server does."""
        while self._left_bytes:
            self._left_bytes -= len(self._receive(min(self._left_bytes, MAX_LINE_BYTES)))
        if "close" in self._fields.get("connection", "").lower():
            self.close()

    def close(self) -> None:
        """Leave the connection, whatever is under way; the next request opens another."""
        if self._socket is not None:
            self._poll.unregister(self._socket)
            self._socket.close()
        self._socket = None
        self._received = b""
        self._left_bytes = 0

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _send_head(self, method: str, path: str, fields: str) -> None:
        head = (method + " " + path + " HTTP/1.1\r\n" + self._head + fields + "\r\n").encode()
        # An idle connection that can be read was closed at the other end; one with a rest has an answer nobody read.
        if self._socket is None or self._left_bytes or self.is_answered():
            self.close()
            self._open()
            self._again = b""
        else:
            self._again = head
        self._write(head)

    def _open(self) -> None:
        address = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM)[0][-1]
        opened = socket.socket()
        try:
            opened.settimeout(TIMEOUT_S)
            opened.connect(address)
        except OSError:
            opened.close()
            raise
        self._poll.register(opened, select.POLLIN)
        self._socket = opened

    def _begin_answer(self) -> bool:
        """Take the first bytes; False when the server had closed the connection just before the request came to it.

        The request is then sent once more.
        """
        if self._received:
            return True
        again = self._again
        self._again = b""
        try:
            self._received = self._receive(MAX_LINE_BYTES)
            return True
        except OSError:
            if not again:
                raise
        self.close()
        self._open()
        self._write(again)
        return False

    def _write(self, piece: "bytes | memoryview") -> None:
        if self._socket is None:
            raise OSError("the connection is closed")
        rest = memoryview(piece)
        while len(rest):
            n_sent = self._socket.send(rest)
            rest = rest[n_sent:]

    def _receive(self, max_bytes: int) -> bytes:
        """Return some bytes of the answer, at most so many; raises OSError when no more will come."""
        if self._received:
            piece, self._received = self._received[:max_bytes], self._received[max_bytes:]
            return piece
        if self._socket is None:
            raise OSError("the connection is closed")
        piece = self._socket.recv(max_bytes)
        if not piece:
            raise OSError("the server closed the connection")
        return piece

    def _read_line(self) -> bytes:
        while b"\n" not in self._received:
            if len(self._received) > MAX_LINE_BYTES:
                raise OSError("what answers is no HTTP server")
            line, self._received = self._received, b""
            self._received = line + self._receive(MAX_LINE_BYTES)
        line, self._received = self._received.split(b"\n", 1)
        return line.rstrip(b"\r")

    def _read_fields(self) -> None:
        self._fields = {}
        for _ in range(MAX_LINES):
            line = self._read_line()
            if not line:
                break
            name, _, value = line.partition(b":")
            if name.lower() in (b"content-length", b"retry-after", b"connection"):
                self._fields[name.lower().decode()] = value.strip().decode()
        else:
            raise OSError("what answers is no HTTP server")

    def _refusal(self) -> Refused:
        body = bytearray(min(self._left_bytes, MAX_ERROR_BYTES))
        n_read = self.read_into(memoryview(body))
        self.skip_body()
        code, message = "", f"the server answered {self.status}"
        try:
            error = json.loads(bytes(body[:n_read]))["error"]
            code, message = error["code"], error["message"]
        except (ValueError, KeyError, TypeError):
            pass  # not from Earshot; the status has to do
        wait = self._fields.get("retry-after", "")
        return Refused(self.status, code, message, int(wait) if wait.isdigit() else 0)
