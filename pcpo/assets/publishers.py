"""Request a file from a publisher: the model hub, or a plain URL. Errors are sentences."""

from __future__ import annotations

import base64
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pcpo.assets.lock import SHA256
from pcpo.assets.table import AssetError, Row
from pcpo.records.digest import SHORT, of_text
from pcpo.records.replace import naming

WEB = ("http", "https")
CHUNK = 1 << 22
TIMEOUT = 30  # seconds without a byte
RETRIES = 20  # of a transfer that makes progress each time


class NoAnswer(AssetError):
    """The publisher cannot be reached."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        super().__init__(
            f"No answer from {', '.join(hosts)}: {_way_out()}, or copy the finished folders of "
            "`data/` and config/assets.lock from a machine that has them."
        )


OFFLINE = "HF_HUB_OFFLINE"
PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # also in capitals


def _way_out() -> str:
    """Advice where nothing answers. Variables may contain passwords: only names are shown."""
    if os.environ.get(OFFLINE):
        return f"{OFFLINE} is set; unset it"
    if proxies := list(_proxies()):
        return f"a proxy is set ({', '.join(proxies)}); check that it runs, or unset it"
    return "connect to a network"


def _proxies() -> dict[str, str]:
    """Variables that name a proxy, with their values."""
    return {name: value for name, value in os.environ.items() if name.lower() in PROXIES and value}


def _check_environment() -> None:
    """Raise AssetError with the name of a variable that makes every request fail."""
    for name, value in _proxies().items():
        if not _is_web(value if "://" in value else f"http://{value}"):
            raise AssetError(
                f"{name} does not name an http proxy (a SOCKS proxy is not enough for downloads): "
                "set it to http://host:port, or unset it."
            )
    if not _is_web(hub()):
        raise AssetError("HF_ENDPOINT is not the address of a hub, as https://huggingface.co is.")
    from huggingface_hub.utils import build_hf_headers

    token = build_hf_headers().get("authorization", "")
    if not re.fullmatch(r"(Bearer [!-~]+)?", token):
        raise AssetError(
            "HF_TOKEN, or the token that was saved by a login, has characters that no token has: "
            "copy it again, or unset it."
        )


class Headers(NamedTuple):
    """A file's headers before it is downloaded; None where they give nothing."""

    bytes: int | None
    sha256: str | None
    revision: str  # the commit, where a branch was requested
    location: str  # the URL of the bytes


def hub() -> str:
    """URL of the hub: HF_ENDPOINT, or the public one."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _hub_for_reading() -> str:
    """The same without user and password."""
    parts = urllib.parse.urlsplit(hub())
    return parts._replace(netloc=_host(hub())).geturl()


def headers(row: Row, revision: str) -> Headers:
    """Request only a file's headers. Raises AssetError if the file cannot be downloaded."""
    _check_environment()
    if row.source == "url":
        with _open(row, urllib.request.Request(row.url, method="HEAD")) as response:
            length = response.headers.get("Content-Length")
        return Headers(int(length) if length else None, None, row.revision, row.url)
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with _explained(row):
        url = hf_hub_url(**row.hub, revision=revision, endpoint=hub())
        found = get_hf_file_metadata(url)
    etag = found.etag or ""  # of a large file its sha256
    sha256 = etag if SHA256.fullmatch(etag) else None
    location = urllib.parse.urljoin(url, found.location)
    if not _is_web(location):
        raise _sent_away(row)
    return Headers(found.size, sha256, found.commit_hash or revision, location)


def download(row: Row, published: Headers, staging: Path, most: int) -> Path:
    """Download into a folder, resuming an earlier try; returns the file there.

    Raises AssetError, and leaves nothing, as soon as there are more than `most` bytes.
    huggingface_hub gives the location of the bytes, but does not download them: its current
    releases restart a broken download from the beginning, and the largest file has 10 GB.
    """
    key = "\n".join((row.repository, published.revision, row.file))
    file = staging / of_text(key)[:SHORT]
    part = file.with_suffix(".part")
    for _ in range(RETRIES):
        before = _size(part)
        try:
            _transfer(row, published.location, part, most)
            return part.replace(file)
        except _Broken:
            if _size(part) <= before:
                break
    raise AssetError(
        f"The connection broke during {row.name}: run the command again, it resumes there."
    )


def _transfer(row: Row, location: str, part: Path, most: int) -> None:
    """Append the missing bytes to `part`. Raises _Broken if some did not arrive."""
    if _size(part) > most:
        part.unlink()
    start = _size(part)
    try:
        response = _open(row, _request(row, location, start))
    except _NoSuchRange:  # the part is the whole file, or more than that
        part.unlink()
        response = _open(row, _request(row, location))
    with response, part.open("ab" if response.status == 206 else "wb") as handle:
        before, expected = handle.tell(), response.headers.get("Content-Length")
        _refuse_more(row, part, before + int(expected or 0), most)
        for block in _blocks(response):
            _refuse_more(row, part, handle.tell() + len(block), most)
            with naming({part: part}):
                handle.write(block)
                handle.flush()
        if expected and handle.tell() - before != int(expected):
            raise _Broken


def _blocks(response: Any) -> Iterator[bytes]:
    """The response in blocks. Raises _Broken where it ends too early."""
    try:
        while block := response.read1(CHUNK):
            yield block
    except (OSError, http.client.HTTPException) as error:  # TLS has errors of its own
        raise _Broken from error


def _refuse_more(row: Row, part: Path, size: int, most: int) -> None:
    if size > most:
        part.unlink()
        raise AssetError(
            f"{row.name} from {row.repository} has more than the {most} bytes of "
            "config/assets.lock, or else of its publisher: it was not taken."
        )


def _request(row: Row, location: str, start: int = 0) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(location)
    request = urllib.request.Request(parts._replace(netloc=_host(location)).geturl())
    if row.source == "hub":
        from huggingface_hub.utils import build_hf_headers

        own_host = _host(location) == _host(hub())
        for name, value in (build_hf_headers() | _basic(hub())).items():
            # The token is only for the hub, not for the store that it redirects to.
            if own_host or name.lower() != "authorization":
                request.add_unredirected_header(name, value)
    if start:
        request.add_header("Range", f"bytes={start}-")
    return request


def _basic(address: str) -> dict[str, str]:
    """The header for user and password of a URL, where it has them."""
    parts = urllib.parse.urlsplit(address)
    if parts.username is None:
        return {}
    pair = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}").encode()
    return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _host(address: str) -> str:
    """Host and port, without user and password."""
    return urllib.parse.urlsplit(address).netloc.rpartition("@")[2]


def _is_web(address: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(address)
        return parts.scheme in WEB and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _sent_away(row: Row) -> AssetError:
    return AssetError(
        f"{row.name}: {row.repository} sends on to an address that is not http or https; refused."
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


class _Broken(OSError):
    """A transfer ended too early."""


class _NoSuchRange(OSError):
    """The server has no bytes after the position at which we resume."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to http(s): a publisher cannot make us read a local file."""

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any
    ) -> Any:
        location = headers.get("Location") or headers.get("URI") or ""
        if not _is_web(urllib.parse.urljoin(req.full_url, location)):
            raise _NotTheWeb
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _NotTheWeb(Exception):
    """A redirect to another scheme than http and https."""


def _opener() -> urllib.request.OpenerDirector:
    """Only for http and https: it does not support files, ftp and data."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _open(row: Row, request: urllib.request.Request) -> Any:
    try:
        return _opener().open(request, timeout=TIMEOUT)
    except _NotTheWeb:
        raise _sent_away(row) from None
    except urllib.error.HTTPError as error:
        if error.code == 416 and request.has_header("Range"):
            raise _NoSuchRange from error
        raise AssetError(
            f"{_host(request.full_url)} answers {error.code} {error.reason} for {row.name} "
            f"({row.repository}): the file is not there, or may not be downloaded."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(_host(request.full_url)) from error


@contextmanager
def _explained(row: Row) -> Iterator[None]:
    """Errors of huggingface_hub as sentences."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise _gated(row) from error
    except errors.RevisionNotFoundError as error:
        raise AssetError(f"{row.repository} has no revision {row.revision}.") from error
    except errors.RemoteEntryNotFoundError as error:
        raise AssetError(
            f"{row.repository} has no file {row.file} at revision {row.revision}."
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if row.gated and status in (401, 403):
            raise _gated(row) from error
        if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403, 404):
            raise AssetError(
                f"{_hub_for_reading()}/{row.repository} does not exist, is private, or the token "
                f"in use (HF_TOKEN) is not valid (answer {status})."
            ) from error
        raise AssetError(
            f"{_hub_for_reading()} answers {status} for {row.repository}: try again later."
        ) from error
    except (errors.HTTPError, ConnectionError) as error:
        raise NoAnswer(_hub_for_reading()) from error


def _gated(row: Row) -> AssetError:
    from huggingface_hub import get_token

    page = f"accept its licence ({row.licence}) at {_hub_for_reading()}/{row.repository}"
    if get_token() is None:
        return AssetError(
            f"{row.repository} is gated: {page} and set HF_TOKEN to a token of that account."
        )
    return AssetError(
        f"{row.repository} is gated and the token in use may not read it: with the account of "
        f"HF_TOKEN {page}, and let the token read gated repositories."
    )
