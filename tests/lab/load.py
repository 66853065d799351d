"""A steady, bounded load of requests, and what became of each: runs where the users are.

It needs nothing but what Debian's python3-minimal holds, as a client of the lab has no more: no
json, no http.client. Sent to a machine as text by `tests.lab.traffic`, which calls `main`.
"""

import hashlib
import os
import random
import re
import select
import socket
import struct
import sys
import threading
import time
import zlib

LIMIT = 12  # seconds for one request
BOUNDARY = "load-boundary-5d2f"


class Failed(Exception):
    """A request without an answer; the text is the kind of failure."""


class Client:
    """One HTTP/1.1 client, with its connection kept open or opened for each request."""

    def __init__(self, host, port, keep):
        self.host, self.port, self.keep = host, port, keep
        self.socket, self.rest = None, b""

    def ask(self, method, path, headers=(), body=b""):
        """Return status, headers and body; raises Failed."""
        # As every client does: a connection that the other side has closed is not used again.
        if self.socket and select.select([self.socket], [], [], 0)[0]:
            self.close()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        if not self.keep:
            lines.append("Connection: close")
        data = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            if not self.socket:
                self.socket = socket.create_connection((self.host, self.port), timeout=LIMIT)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.sendall(data)
            status, fields, content = self._answer()
        except Failed:
            self.close()
            raise
        except TimeoutError:
            self.close()
            raise Failed("timeout") from None
        except OSError as error:
            self.close()
            raise Failed(type(error).__name__) from None
        if fields.get("connection", "").lower() == "close" or not self.keep:
            self.close()
        return status, fields, content

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.rest = None, b""

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Failed("closed in the answer" if self.rest else "closed without an answer")
        self.rest += data

    def _take(self, count):
        while len(self.rest) < count:
            self._more()
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def _line(self):
        while b"\r\n" not in self.rest:
            self._more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line.decode("latin-1")

    def _answer(self):
        status, fields = int(self._line().split()[1]), {}
        while line := self._line():
            name, value = line.split(":", 1)
            # All cookies are kept; of the other headers there is one each.
            key = name.lower()
            fields[key] = f"{fields[key]}\n{value.strip()}" if key in fields else value.strip()
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._line(), 16):
                body += self._take(size)
                self._take(2)
            self._line()
            return status, fields, body
        return status, fields, self._take(int(fields.get("content-length", 0)))


class Load:
    """The running load: threads that ask, and what they saw."""

    def __init__(self, settings):
        self.settings = settings
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.begin = time.monotonic()
        self.seen = []  # (kind, seconds since the beginning, seconds it took, server)
        self.errors = []  # (kind, what, seconds since the beginning, how long)
        self.written = []  # (path, name, sha256 of the photo)
        self.cookie = self.token = ""

    def client(self, keep):
        return Client(self.settings["host"], self.settings["port"], keep)

    def ask(self, client, kind, method, path, headers=(), body=b"", good=(200,)):
        """Ask, and note what came of it; answers None on any failure."""
        begin = time.monotonic()
        try:
            status, fields, content = client.ask(method, path, headers, body)
        except Failed as failure:
            status, fields, content = str(failure), {}, b""
        now = time.monotonic()
        with self.lock:
            if status in good:
                server = fields.get("x-served-by", "")
                self.seen.append((kind, begin - self.begin, now - begin, server))
            else:
                self.errors.append((kind, str(status), begin - self.begin, now - begin))
        return (fields, content) if status in good else None

    def log_in(self):
        client = self.client(True)
        status, fields, page = client.ask("GET", "/login")
        self.token, cookie = _token(page), _cookie(fields)
        form = f"csrf_token={_quoted(self.token)}&login=admin"
        form += f"&password={_quoted(self.settings['password'])}"
        kind = "Content-Type: application/x-www-form-urlencoded"
        cookie_line = f"Cookie: {cookie}"
        status, fields, _ = client.ask("POST", "/login", [cookie_line, kind], form.encode())
        if status != 303:
            raise SystemExit(f"the log-in was answered with {status}")
        # The session of the log-in is a new one, with a token of its own.
        _, fields, page = client.ask("GET", "/customers/new", [f"Cookie: {_cookie(fields)}"])
        self.token, self.cookie = _token(page), f"Cookie: {_cookie(fields)}"
        client.close()

    def read(self, client, kind):
        path = random.choice(("/login", "/customers", "/static/style.css"))
        self.ask(client, kind, "GET", path, [self.cookie] if path == "/customers" else [])

    def write(self, client, kind):
        name, photo = f"Load {os.urandom(6).hex()}", _png()
        headers = [self.cookie, f"Content-Type: multipart/form-data; boundary={BOUNDARY}"]
        fields = {"csrf_token": self.token, "name": name, "email": "", "phone": ""}
        body = _multipart({**fields, "company": "", "notes": ""}, photo)
        answer = self.ask(client, kind, "POST", "/customers/new", headers, body, good=(303,))
        if answer:
            with self.lock:
                digest = hashlib.sha256(photo).hexdigest()
                self.written.append((answer[0]["location"], name, digest))

    def work(self, kind, keep, interval, action):
        client = self.client(keep)
        due = time.monotonic() + random.random() * interval
        while not self.stop.wait(max(0, due - time.monotonic())):
            action(client, kind)
            # What a slow answer delays is not made up for: the rate is an upper limit.
            due = max(due + interval, time.monotonic())
        client.close()

    def lost(self):
        """Return the acknowledged writes that cannot be read back as they were written."""
        client, lost = self.client(True), []
        for path, name, digest in self.written:
            page = self.ask(client, "read back", "GET", path, [self.cookie])
            shown = re.search(rb'src="(/photos/[^"]+)"', page[1]) if page else None
            photo = shown and self.ask(client, "read back", "GET", shown[1].decode(), [self.cookie])
            intact = photo and hashlib.sha256(photo[1]).hexdigest() == digest
            if not intact or name.encode() not in page[1]:
                lost.append(path)
        return lost

    def clean(self):
        client = self.client(True)
        kind = "Content-Type: application/x-www-form-urlencoded"
        form = f"csrf_token={_quoted(self.token)}".encode()
        for path, _, _ in self.written:
            self.ask(client, "clean", "POST", f"{path}/delete", [self.cookie, kind], form, (303,))


def main(settings):
    """Ask until a line or the end of standard input, or `seconds`; print what was seen as a dict.

    settings: host, port, password, seconds; how many threads read on kept connections, read on
    new ones, and write (kept, new, writers), and the seconds from one request of a thread to its
    next (interval, write_interval).
    """
    load = Load(settings)
    if settings["writers"] or settings["kept"] or settings["new"]:
        load.log_in()
    kinds = (
        ("read, kept", settings["kept"], True, settings["interval"], load.read),
        ("read, new", settings["new"], False, settings["interval"], load.read),
        ("write", settings["writers"], True, settings["write_interval"], load.write),
    )
    threads = [
        threading.Thread(target=load.work, args=(kind, keep, interval, action))
        for kind, count, keep, interval, action in kinds
        for _ in range(count)
    ]
    load.begin = time.monotonic()
    for thread in threads:
        thread.start()
    print("started", flush=True)
    select.select([sys.stdin], [], [], settings["seconds"])
    load.stop.set()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - load.begin
    during, errors = list(load.seen), list(load.errors)
    lost = load.lost()
    load.clean()
    back = load.errors[len(errors) :]
    print(
        {
            "seconds": seconds,
            "seen": during,
            "errors": errors,
            "written": len(load.written),
            "lost": lost,
            "errors_after": back,
        }
    )


def _token(page):
    return re.search(rb'name="csrf_token" value="([^"]+)"', page)[1].decode()


def _cookie(fields):
    return "; ".join(line.split(";")[0] for line in fields["set-cookie"].splitlines())


def _quoted(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _png():
    """Return a picture like no other: photos are kept by their content."""

    def chunk(kind, data):
        return (
            struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + os.urandom(96) for _ in range(32))
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def _multipart(fields, photo):
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="p.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    return b"".join([*parts, head.encode(), photo, f"\r\n--{BOUNDARY}--\r\n".encode()])
