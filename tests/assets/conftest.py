"""A publisher on this machine: as much of the hub's protocol as downloads need, and plain files."""

import csv
import hashlib
import re
import threading
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from pcpo.assets import table
from pcpo.assets.publishers import PROXIES

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Publisher:
    """files: path -> content: `org/model/file` on the hub, `plain/...` elsewhere."""

    address: str = ""
    files: dict = field(default_factory=dict)
    gated: set = field(default_factory=set)  # repositories
    requests: list = field(default_factory=list)  # (method, path, Range header)
    commits: list = field(default_factory=lambda: [COMMIT])  # that branches point to, in turn
    lie: dict = field(default_factory=dict)  # path -> what is sent instead of the content
    break_at: int | None = None  # bytes after which every transfer ends
    store: str = ""  # another host, to which the hub sends downloads on
    away: dict = field(default_factory=dict)  # path -> address that it sends on to
    no_sizes: bool = False  # the publisher states no sizes
    tokens: list = field(default_factory=list)  # paths that came with a token
    passwords: list = field(default_factory=list)  # Basic ones

    def of(self, method):
        return [(path, start) for kind, path, start in self.requests if kind == method]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def refuse(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, body):
        publisher = self.server.publisher
        path = unquote(self.path.lstrip("/"))
        hub = re.fullmatch(r"(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        commit = ""
        if hub:
            kind, repository, revision, file = hub.groups()
            path = f"{kind or ''}{repository}/{file}"
            commit = revision if revision != "main" else publisher.commits[0]
            if not body and revision == "main" and len(publisher.commits) > 1:
                publisher.commits.pop(0)
        authorization = self.headers.get("Authorization", "")
        if authorization.startswith("Basic "):
            publisher.passwords.append((path, b64decode(authorization.removeprefix("Basic "))))
        elif authorization:
            publisher.tokens.append(path)
        wanted = self.headers.get("Range")
        publisher.requests.append((self.command, path, wanted))
        if hub and repository in publisher.gated:
            return self.refuse(401 if "Authorization" not in self.headers else 403,
                               X_Error_Code="GatedRepo")  # fmt: skip
        if path not in publisher.files:
            return self.refuse(404, X_Error_Code="EntryNotFound" if hub else "")
        if path in publisher.away:
            return self.refuse(302, Location=publisher.away[path])
        content = publisher.files[path]
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        if wanted and start >= len(content):
            return self.refuse(416)
        away = hub and publisher.store
        self.send_response(302 if away else 206 if wanted else 200)
        if away:
            publisher.files[f"store/{path}"] = content
            self.send_header("Location", f"{publisher.store}/store/{path}")
        if hub:
            self.send_header("X-Repo-Commit", commit)
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        sent = publisher.lie.get(path, content)[start:]
        sent = b"" if away else sent
        if publisher.no_sizes:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(sent)))
        if wanted:
            size = len(content)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if body:
            with suppress(ConnectionError):  # a client may leave, where it is sent too much
                self.wfile.write(sent[: publisher.break_at])
            if publisher.break_at is not None:
                self.close_connection = True
        return None


def set_hub(monkeypatch, address):
    """What HF_ENDPOINT does in a new process."""
    constants = "huggingface_hub.constants"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(f"{constants}.ENDPOINT", address)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def publisher(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.publisher = Publisher(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    set_hub(monkeypatch, server.publisher.address)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    yield server.publisher
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def shop(publisher, tmp_path):
    """Two assets of three files: (publisher, table file, lock file, root)."""
    publisher.files |= {
        "org/model/config.json": b"{}",
        "org/model/unet/weights.safetensors": bytes(range(256)) * 4096,
        "plain/rev1/head a+b.pth": b"head",
    }
    hub = ("hub", "org/model")
    rows = [
        ("models/m", "config.json", *hub, "config.json", COMMIT),
        ("models/m", "deep/w.safetensors", *hub, "unet/weights.safetensors", COMMIT),
        ("rewards/r", "head.pth", "url", f"{publisher.address}/plain", "head a+b.pth", "rev1"),
    ]
    file = tmp_path / "config" / "assets.csv"
    file.parent.mkdir()
    write_table(file, rows)
    return publisher, file, file.with_name("assets.lock"), tmp_path / "data"


def write_table(file, rows, gated="no", gigabytes="0.001"):
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(table.COLUMNS)
        writer.writerows([*row, "MIT", gated, gigabytes] for row in rows)
