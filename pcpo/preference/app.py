"""The web page for raters: Starlette over a pool and its store of answers.

    GET  /                 consent, or on to the pairs if the cookie has a session
    POST /begin            a new session and its cookie
    GET  /pairs            the page; the rest comes as JSON
    GET  /api/question     the open question
    POST /api/answer       {"question": token, "choices": {category: left | right | tie}}; the next
                           question comes back
    POST /api/withdraw     delete the session
    GET  /image/<token>    an image of this session's questions; the address exists for one question

What a browser sends is not trusted: bodies are bounded, a form or JSON must come from this site,
images and questions belong to one session, and answers cannot be changed. What a browser gets has
no pair, no file name and nothing else that two questions have in common.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pcpo.paths import PACKAGE
from pcpo.preference.answers import Answers, Question, Refused
from pcpo.preference.limits import Limiter, Rate, of_address
from pcpo.preference.pairs import IMAGES
from pcpo.preference.questions import QUESTIONS

HERE = PACKAGE / "preference"
COOKIE = "study"
COOKIE_SECONDS = 30 * 24 * 3600
MOST_BODY = 4096  # bytes
SECONDS_A_PAIR = 20  # for the time that the consent text announces

_TEMPLATES = Environment(
    loader=PackageLoader("pcpo.preference"), autoescape=True, undefined=StrictUndefined
)

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src "
    "'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # without one a form's Origin would be null
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Site:
    """How the page is served.

    secure: the cookie is for https alone; False only for a trial on one's own machine.
    requests, sessions: what one address may do; a laboratory behind one address needs more.
    """

    contact: str
    consent: str = ""  # Markdown; "" takes consent.md
    secure: bool = True
    requests: Rate = field(default_factory=lambda: Rate(20, 200))
    sessions: Rate = field(default_factory=lambda: Rate(30 / 3600, 30))


def build(answers: Answers, folder: Path, site: Site) -> Starlette:
    """The application. `folder` is that of the pool's `pairs.json`."""
    page = _Page(answers, folder, site)
    routes = [
        Route("/", page.start),
        Route("/begin", page.begin, methods=["POST"]),
        Route("/pairs", page.pairs),
        Route("/api/question", page.question),
        Route("/api/answer", page.answer, methods=["POST"]),
        Route("/api/withdraw", page.withdraw, methods=["POST"]),
        Route("/image/{token}", page.image),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    guard = Middleware(_Guard, limiter=Limiter(site.requests))
    return Starlette(
        routes=routes,
        middleware=[guard],
        exception_handlers={HTTPException: _explain, Refused: _explain},
        max_body_size=MOST_BODY,
    )


class _Page:
    def __init__(self, answers: Answers, folder: Path, site: Site) -> None:
        self._answers, self._images, self._site = answers, folder / IMAGES, site
        self._sessions = Limiter(site.sessions)
        self._consent = _consent(site, answers)

    async def start(self, request: Request) -> Response:
        if await self._session(request) is not None:
            return RedirectResponse("/pairs", 303)
        return self._html("consent.html", consent=self._consent)

    async def begin(self, request: Request) -> Response:
        _from_here(request)
        if await self._session(request) is not None:  # sent twice
            return RedirectResponse("/pairs", 303)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if not self._sessions.allow(_address(request)):
            raise HTTPException(429, "Too many people began here in a short time. Try again later.")
        token = await run_in_threadpool(self._answers.begin, form.get("device", [""])[0])
        response = RedirectResponse("/pairs", 303)
        response.set_cookie(
            COOKIE, token, max_age=COOKIE_SECONDS, httponly=True, samesite="strict",
            secure=self._site.secure,
        )  # fmt: skip
        return response

    async def pairs(self, request: Request) -> Response:
        if await self._session(request) is None:
            return RedirectResponse("/", 303)
        return self._html("pairs.html", questions=QUESTIONS, ties=self._answers.options.ties)

    async def question(self, request: Request) -> Response:
        session = await self._required(request)
        return _as_json(await run_in_threadpool(self._answers.question, session))

    async def answer(self, request: Request) -> Response:
        _from_here(request)
        session = await self._required(request)
        token, choices = _choices(await request.body(), request.headers.get("content-type", ""))
        await run_in_threadpool(self._answers.answer, session, token, choices)
        return _as_json(await run_in_threadpool(self._answers.question, session))

    async def withdraw(self, request: Request) -> Response:
        _from_here(request)
        await run_in_threadpool(self._answers.withdraw, await self._required(request))
        response = JSONResponse({"deleted": True})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._site.secure)
        return response

    async def image(self, request: Request) -> Response:
        session = await self._required(request)
        token = request.path_params["token"]
        name = await run_in_threadpool(self._answers.image, session, token)
        if name is None:
            raise HTTPException(404, "There is no such image.")
        # Without the file's date and size in an ETag: they are the same for each showing.
        data = await run_in_threadpool((self._images / name).read_bytes)
        return Response(data, media_type="image/png")

    async def _session(self, request: Request) -> int | None:
        token = request.cookies.get(COOKIE, "")
        return await run_in_threadpool(self._answers.session, token) if token else None

    async def _required(self, request: Request) -> int:
        session = await self._session(request)
        if session is None:
            raise HTTPException(401, "There is no session. Begin at the first page.")
        return session

    def _html(self, name: str, **values: Any) -> Response:
        return HTMLResponse(_TEMPLATES.get_template(name).render(**values))


class _Guard:
    """Headers for every response, and the limit on requests."""

    def __init__(self, app: ASGIApp, limiter: Limiter) -> None:
        self._app, self._limiter = app, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        app: ASGIApp = self._app
        if not self._limiter.allow(_address(Request(scope))):
            app = _text(429, "Too many requests. Wait a moment.", {"Retry-After": "5"})
        await app(scope, receive, with_headers)


def _from_here(request: Request) -> None:
    """Refuse what another site makes a browser send."""
    fetched = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    if fetched not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise HTTPException(403, "This was sent from another site.")


def _choices(body: bytes, kind: str) -> tuple[str, Mapping[str, str]]:
    """The question's token and the choices of an answer. Raises Refused for anything else."""
    if kind.partition(";")[0].strip() != "application/json":
        raise Refused(415, "answers are sent as application/json")
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(422, "the body is no JSON") from None
    token = sent.get("question") if isinstance(sent, dict) else None
    choices = sent.get("choices") if isinstance(sent, dict) else None
    if not isinstance(token, str) or not isinstance(choices, dict):
        raise Refused(422, "expected question and choices")
    if not token.isascii():  # a lone surrogate is no text for SQLite
        raise Refused(404, "this session has no such question")
    if not all(isinstance(choice, str) for choice in choices.values()):
        raise Refused(422, "choices: expected a text for each")
    return token, choices


def _as_json(question: Question | None) -> JSONResponse:
    if question is None:
        return JSONResponse({"done": True})
    return JSONResponse(
        {
            "question": question.token,
            "prompt": question.prompt,
            "left": f"/image/{question.left}",
            "right": f"/image/{question.right}",
            "position": question.position,
            "total": question.total,
        }
    )


def _consent(site: Site, answers: Answers) -> Markup:
    """The consent text as HTML; its Markdown may have no HTML of its own."""
    design = answers.options.design
    text = site.consent or (HERE / "consent.md").read_text(encoding="utf-8")
    for name, value in {
        "contact": site.contact,
        "pairs": design.total,
        "questions": len(QUESTIONS),
        "minutes": max(1, round(design.total * SECONDS_A_PAIR / 60)),
    }.items():
        text = text.replace(f"{{{name}}}", str(value))
    return Markup(MarkdownIt("commonmark", {"html": False}).render(text))


def _address(request: Request) -> str:
    return of_address(request.client.host if request.client else "")


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)


async def _explain(request: Request, error: Exception) -> Response:
    """An error as a page for a browser's navigation, else as JSON."""
    if isinstance(error, Refused):
        status, text, headers = error.status, str(error), None
    else:
        assert isinstance(error, HTTPException)
        status, text, headers = error.status_code, error.detail, error.headers
    if "text/html" in request.headers.get("accept", ""):
        page = _TEMPLATES.get_template("error.html").render(error=text)
        return HTMLResponse(page, status, headers)
    return _text(status, text, headers)
