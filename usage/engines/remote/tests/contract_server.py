"""A speech server that keeps OpenAI's contract, or breaks it as it is told."""

import json
import socket
import struct
import threading
import time
from array import array
from contextlib import suppress
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

RATE = 24_000
EDGE_SECONDS = 0.2  # of silence before and after the sound
PERIOD = array("h", [6_000] * 60 + [-6_000] * 60)


def sound(text: str, speed: float = 1.0) -> bytes:
    """Sound of the length of speech, between two silences."""
    silence = bytes(2 * round(EDGE_SECONDS * RATE))
    return silence + (PERIOD * round(len(text) * 0.07 * RATE / 120 / speed)).tobytes() + silence


def wav(data: bytes, *, rate=RATE, channels=1, bits=16, size=None, kind=1) -> bytes:
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)
    size = len(data) if size is None else size
    # A chunk of odd length in between, which readers must step over with its filling byte.
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    return (
        b"RIFF\xff\xff\xff\xffWAVE"
        + b"fmt "
        + struct.pack("<I", 16)
        + fmt
        + extra
        + b"data"
        + struct.pack("<I", size)
        + data
    )


# --- What it does with a request to speak: each is called with the handler and the body.


def good(handler, body):
    data = sound(body["input"], body.get("speed", 1))
    if body["response_format"] == "wav":
        return handler.chunks("audio/wav", [wav(data, size=0xFFFFFFFF)])
    handler.chunks("audio/pcm", [data[:10_001], data[10_001:]])


def sends(content_type, data=None, **headers):
    def answer(handler, body):
        handler.whole(200, content_type, sound(body["input"]) if data is None else data, headers)

    return answer


def fails(status, error=None, **headers):
    def answer(handler, body):
        handler.whole(status, "application/json", json.dumps(error or {}).encode(), headers)

    return answer


def error(message, *, param=None, code=None, type="invalid_request_error"):
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def slow(seconds):
    def answer(handler, body):
        time.sleep(seconds)
        good(handler, body)

    return answer


def hangs(handler, body):
    handler.server.ended.wait(30)
    handler.close_connection = True


def trickles(handler, body):
    """Two bytes now and then, without end."""
    handler.begin("audio/pcm", {"Transfer-Encoding": "chunked"})
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b"2\r\n\0\1\r\n")
        handler.wfile.flush()


def half_by_length(handler, body):
    data = sound(body["input"])
    handler.begin("audio/pcm", {"Content-Length": len(data)})
    handler.wfile.write(data[: len(data) // 4 * 2])
    handler.close_connection = True


def half_by_chunks(handler, body):
    handler.begin("audio/pcm", {"Transfer-Encoding": "chunked"})
    handler.chunk(sound(body["input"])[:-20_000])
    handler.close_connection = True


def without_end(handler, body):
    handler.begin("audio/pcm", {"Connection": "close"})
    handler.wfile.write(sound(body["input"]))
    handler.close_connection = True


def hangs_up(handler, body):
    handler.close_connection = True


# --- What it does with a consent, or with a sample to copy: each is called with the handler and the
# parts of the form.


def makes(handler, parts):
    handler.json(handler.keep(parts))


def answers(answer):
    """Makes it, and says so in words of its own."""

    def answered(handler, parts):
        made = handler.keep(parts)
        data = answer if isinstance(answer, bytes) else json.dumps(answer(made)).encode()
        handler.whole(200, "application/json", data)

    return answered


def makes_half_an_answer(handler, parts):
    data = json.dumps(handler.keep(parts)).encode()
    handler.begin("application/json", {"Content-Length": len(data)})
    handler.wfile.write(data[:10])
    handler.close_connection = True


def makes_and_hangs_up(handler, parts):
    handler.keep(parts)
    handler.close_connection = True


def drips(handler, parts):
    """A blank now and then, without end."""
    handler.begin("application/json", {"Transfer-Encoding": "chunked"})
    while not handler.server.ended.wait(0.05):
        handler.chunk(b" ")
        handler.wfile.flush()


def deletes(handler, kind, id_):
    there = handler.server.kept[kind].pop(id_, None)
    if there is None:
        return handler.whole(404, "application/json", json.dumps(error("Not found.")).encode())
    handler.json({"id": id_, "object": "audio.deleted", "deleted": True})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        server = self.server
        server.looked.append(self.path)
        if server.is_starting:
            return self.whole(503, "text/plain", b"starting")
        if self.refuses_key():
            return None
        path = urlsplit(self.path).path
        answer = {
            "/v1/models": {"object": "list", "data": [{"id": "kokoro", "object": "model"}]},
            "/v1/audio/voices": server.voices,
        }.get(path)
        if path == "/v1/audio/voice_consents" or (
            path == "/v1/audio/voices" and server.lists_copies
        ):
            answer = self.page(path.rpartition("/")[2])
        if answer is None:
            return self.whole(404, "application/json", b'{"detail": "Not Found"}')
        self.whole(200, "application/json", json.dumps(answer).encode())

    def page(self, kind):
        """Two of them at a time."""
        query = parse_qs(urlsplit(self.path).query)
        rows = list(self.server.kept[kind].values())
        after = [row["id"] for row in rows].index(query["after"][0]) + 1 if "after" in query else 0
        return {"data": rows[after : after + 2], "has_more": len(rows) > after + 2}

    def json(self, found):
        self.whole(200, "application/json", json.dumps(found).encode())

    def keep(self, parts):
        """Make what the form asks for."""
        kind = self.path.rpartition("/")[2]
        name = kind.removesuffix("s")
        with self.server.lock:
            self.server.made += 1
            id_ = f"{name} {self.server.made}/é"
            found = {"id": id_, "object": f"audio.{name}", "name": parts["name"], "created_at": 1}
            self.server.kept[kind][id_] = found
        return found

    def do_DELETE(self):
        self.server.deleted.append(self.path)
        if self.refuses_key():
            return None
        _, kind, id_ = self.path.removeprefix("/v1/").split("/")
        return self.server.on_delete(self, kind, unquote(id_))

    def copies(self):
        """A form with a file: a consent, or a sample."""
        server, kind = self.server, self.path.rpartition("/")[2]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = {}
        form = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body
        for part in message_from_bytes(form).get_payload():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            if part.get_filename():
                parts[name] = (part.get_filename(), part.get_content_type(), data)
            else:
                parts[name] = data.decode()
        if self.refuses_key():
            return None
        server.forms.append((kind, parts, self.headers["Idempotency-Key"]))
        return server.on_form.get(kind, makes)(self, parts)

    def refuses_key(self):
        sent = self.headers["Authorization"]
        if not self.server.key or sent == f"Bearer {self.server.key}":
            return False
        told = error(f"Incorrect API key provided: {sent}.", code="invalid_api_key")
        self.whole(401, "application/json", json.dumps(told).encode())
        return True

    def do_POST(self):
        server = self.server
        if self.path in ("/v1/audio/voice_consents", "/v1/audio/voices"):
            return self.copies()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/audio/speech":
            return self.whole(404, "application/json", b'{"detail": "Not Found"}')
        if self.refuses_key():
            return None
        copy = body["voice"]["id"] if isinstance(body["voice"], dict) else None
        if copy and copy not in server.kept["voices"]:
            told = error("There is no such voice.", param="voice")
            return self.whole(400, "application/json", json.dumps(told).encode())
        with server.lock:
            server.asked.append(body | {"key": self.headers["Idempotency-Key"]})
            answer = server.next.pop(0) if server.next else server.answer
            server.now += 1
            server.at_once = max(server.at_once, server.now)
        try:
            answer(self, body)
        finally:
            with server.lock:
                server.now -= 1

    def begin(self, content_type, headers, status=200):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def whole(self, status, content_type, data, headers=None):
        self.begin(content_type, {"Content-Length": len(data)} | (headers or {}), status)
        self.wfile.write(data)

    def chunks(self, content_type, parts):
        self.begin(content_type, {"Transfer-Encoding": "chunked"})
        for part in parts:
            self.chunk(part)
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, part):
        self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    def log_message(self, *args):
        pass


class ContractServer(ThreadingHTTPServer):
    """`answer` says what it does with a request to speak, `next` what with the next ones.

    `on_form` says by path what it does with a consent or a sample to copy, `on_delete` what with a
    request to delete. `kept` is what it has of people's voices, `forms` and `deleted` what it was
    sent.
    """

    def __init__(self, *, voices=None, key="", port=0):
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.open: set[socket.socket] = set()
        self.answer, self.next = good, []
        self.voices, self.key = voices, key
        self.asked, self.looked = [], []
        self.on_form, self.on_delete = {}, deletes
        self.kept = {"voice_consents": {}, "voices": {}}
        self.forms, self.deleted, self.made = [], [], 0
        self.lists_copies = False
        self.now = self.at_once = 0
        self.is_starting = False  # then it says so when it is asked for models and voices
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def process_request(self, request, client_address):
        with self.lock:
            self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self.lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """Clients that leave are expected."""

    def die(self):
        """As a process that is killed: its port is closed, and so is every connection."""
        self.ended.set()
        self.shutdown()
        self.server_close()
        with self.lock:
            for each in self.open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
