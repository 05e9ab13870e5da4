"""Asking a publisher for a file: the model hub, or a plain address. Errors are sentences."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pcpo.assets.lock import SHA256
from pcpo.assets.table import AssetError, Row

CHUNK = 1 << 22
TIMEOUT = 30  # seconds without a byte
RETRIES = 20  # of a transfer that gets further each time


class NoAnswer(AssetError):
    """The publisher cannot be reached."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        super().__init__(
            f"No answer from {', '.join(hosts)}: "
            + (f"{OFFLINE} is set; unset it" if os.environ.get(OFFLINE) else "connect to a network")
            + ", or copy the finished folders of `data/` and config/assets.lock from a machine "
            "that has them."
        )


OFFLINE = "HF_HUB_OFFLINE"


class Headers(NamedTuple):
    """What is said of a file before it is downloaded; None where nothing is said."""

    bytes: int | None
    sha256: str | None
    revision: str  # the commit, where a branch was asked for
    location: str  # from where the bytes come


def hub() -> str:
    """Address of the hub: HF_ENDPOINT, or the public one."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def headers(row: Row, revision: str) -> Headers:
    """Ask for a file's headers alone. Raises AssetError if the file cannot be had."""
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
    return Headers(found.size, sha256, found.commit_hash or revision, location)


def download(row: Row, said: Headers, staging: Path) -> Path:
    """Download into a folder, going on where an earlier try stopped; returns the file there.

    huggingface_hub says where the bytes are, but does not fetch them: its releases of today start a
    broken download again from nothing, and the largest file has 10 GB.
    """
    key = "\n".join((row.repository, said.revision, row.file))
    file = staging / hashlib.sha256(key.encode()).hexdigest()[:16]
    part = file.with_suffix(".part")
    for _ in range(RETRIES):
        before = _size(part)
        try:
            _transfer(row, said.location, part)
            return part.replace(file)
        except _Broken:
            if _size(part) <= before:
                break
    raise AssetError(
        f"The connection broke during {row.name}: run the command again, it goes on there."
    )


def _transfer(row: Row, location: str, part: Path) -> None:
    """Append to `part` what it lacks. Raises _Broken if not all of it came."""
    start = _size(part)
    try:
        response = _open(row, _request(row, location, start))
    except _NoSuchRange:  # the part is the whole file, or more than that
        part.unlink()
        response = _open(row, _request(row, location))
    with response, part.open("ab" if response.status == 206 else "wb") as handle:
        before, expected = handle.tell(), response.headers.get("Content-Length")
        try:
            while block := response.read1(CHUNK):
                handle.write(block)
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            raise _Broken from error
        if expected and handle.tell() - before != int(expected):
            raise _Broken


def _request(row: Row, location: str, start: int = 0) -> urllib.request.Request:
    request = urllib.request.Request(location)
    if row.source == "hub":
        from huggingface_hub.utils import build_hf_headers

        own_host = _host(location) == _host(hub())
        for name, value in build_hf_headers().items():
            # The token is for the hub alone, not for the store that it sends us on to.
            if own_host or name.lower() != "authorization":
                request.add_unredirected_header(name, value)
    if start:
        request.add_header("Range", f"bytes={start}-")
    return request


def _host(address: str) -> str:
    return urllib.parse.urlsplit(address).netloc


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


class _Broken(OSError):
    """A transfer ended too early."""


class _NoSuchRange(OSError):
    """The server has no bytes from where we wanted to go on."""


def _open(row: Row, request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and request.has_header("Range"):
            raise _NoSuchRange from error
        raise AssetError(
            f"{_host(request.full_url)} answers {error.code} {error.reason} for {row.name} "
            f"({row.repository}): the file is not there, or may not be had."
        ) from error
    except OSError as error:
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
                f"{hub()}/{row.repository} does not exist, is private, or the token in use "
                f"(HF_TOKEN) is not valid (answer {status})."
            ) from error
        raise AssetError(
            f"{hub()} answers {status} for {row.repository}: try again later."
        ) from error
    except (errors.HTTPError, ConnectionError) as error:
        raise NoAnswer(hub()) from error


def _gated(row: Row) -> AssetError:
    from huggingface_hub import get_token

    page = f"accept its licence ({row.licence}) at {hub()}/{row.repository}"
    if get_token() is None:
        return AssetError(
            f"{row.repository} is gated: {page} and set HF_TOKEN to a token of that account."
        )
    return AssetError(
        f"{row.repository} is gated and the token in use may not read it: with the account of "
        f"HF_TOKEN {page}, and let the token read gated repositories."
    )
