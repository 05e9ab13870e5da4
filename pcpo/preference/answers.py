"""The store of a study: sessions, questions and answers in one SQLite file.

The file is in WAL mode and each answer is synced to the disk before the rater's page goes on, so
that kill -9 and a loss of power lose no confirmed answer. One process writes; any number may read.

Nothing personal is stored: no name, address, browser or account. A session is known by the SHA-256
of its random token; the token is in the rater's cookie alone.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pcpo.preference.pairs import Pool
from pcpo.preference.questions import DEVICES, QUESTIONS, Choice, Device
from pcpo.preference.schedule import Asked, Design, choose, kinds
from pcpo.records.digest import of_text

FORMAT = 1
OPEN_SECONDS = 1800  # for so long an unanswered question counts as shown
Origin = Literal["people", "simulated"]

_TABLES = """
CREATE TABLE study (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,         -- SHA-256 of the cookie's
    device TEXT NOT NULL,
    kinds TEXT NOT NULL                 -- of its questions, in order
);
CREATE TABLE question (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session ON DELETE CASCADE,
    position INTEGER NOT NULL,          -- from 1
    kind TEXT NOT NULL,
    pair TEXT NOT NULL,
    flipped INTEGER NOT NULL,           -- 1: the second image is on the left
    token TEXT NOT NULL UNIQUE,
    left_image TEXT NOT NULL UNIQUE,    -- tokens of the images' addresses
    right_image TEXT NOT NULL UNIQUE,
    asked REAL NOT NULL,                -- seconds since 1970
    answered REAL,
    UNIQUE (session, position)
);
CREATE INDEX question_shown ON question (kind, pair, flipped, answered, asked);
CREATE TABLE answer (
    question INTEGER NOT NULL REFERENCES question ON DELETE CASCADE,
    category TEXT NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('left', 'right', 'tie')),
    PRIMARY KEY (question, category)
) WITHOUT ROWID;
"""


class Question(NamedTuple):
    """The open question of a session; `left` and `right` are tokens of image addresses."""

    token: str
    prompt: str
    left: str
    right: str
    position: int
    total: int


class Refused(Exception):
    """An answer that is not taken: `status` is the HTTP status that fits."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Options:
    """What is fixed for a whole study: its sessions, whether ties are allowed, who answers."""

    design: Design = field(default_factory=Design)
    ties: bool = False
    origin: Origin = "people"

    def as_text(self) -> dict[str, str]:
        design = self.design
        return {
            "format": str(FORMAT),
            "origin": self.origin,
            "ties": str(self.ties),
            "session": f"{design.pairs} pairs, {design.checks} checks, {design.repeats} repeats",
        }


class Answers:
    """A study's file, opened to write. Every method may be called from any thread."""

    def __init__(
        self,
        path: Path,
        pool: Pool,
        options: Options,
        clock: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        """Open or create the file.

        Raises ValueError for a file of other pairs or other options, or that is no such store.
        """
        self.pool, self.options = pool, options
        self._clock, self._chance = clock, chance or random.SystemRandom()
        self._pairs = {pair.id: pair for pair in pool.pairs}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(
            path, check_same_thread=False, isolation_level=None, timeout=10
        )
        try:
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
                            "secure_delete = ON", "wal_autocheckpoint = 100"):  # fmt: skip
                self._base.execute(f"PRAGMA {setting}")
            self._open(path)
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise ValueError(f"{path}: cannot be used as a store of answers ({error})") from error
        except BaseException:
            self._base.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._base.close()

    def begin(self, device: str) -> str:
        """Start a session; the token for its cookie."""
        if device not in DEVICES:
            raise Refused(422, f"device: one of {', '.join(DEVICES)}")
        token = secrets.token_urlsafe(32)
        plan = " ".join(kinds(self.options.design, self.pool, self._chance))
        with self._transaction() as base:
            base.execute(
                "INSERT INTO session (token, device, kinds) VALUES (?, ?, ?)",
                (of_text(token), device, plan),
            )
        return token

    def session(self, token: str) -> int | None:
        """The session of a cookie's token; None for any other token."""
        with self._lock:
            found = self._base.execute(
                "SELECT id FROM session WHERE token = ?", (of_text(token),)
            ).fetchone()
        return int(found[0]) if found else None

    def question(self, session: int) -> Question | None:
        """The open question of a session, or its next one; None at the session's end.

        The same one until it is answered, on the same sides and at the same addresses.
        """
        with self._transaction() as base:
            plan = self._plan(base, session)
            rows = base.execute(
                "SELECT kind, pair, flipped, answered, token, left_image, right_image FROM question"
                " WHERE session = ? ORDER BY position",
                (session,),
            ).fetchall()
            if rows and rows[-1][3] is None:
                _, pair, _, _, *tokens = rows[-1]
                return self._shown(pair, tokens, len(rows), len(plan))
            seen = [Asked(kind, pair, bool(flipped)) for kind, pair, flipped, *_ in rows]
            if len(seen) >= len(plan):
                return None
            asked = choose(
                self.pool, plan[len(seen)], seen, self._counts(base, plan[len(seen)]), self._chance
            )
            if asked is None:  # no pair of this kind is left: the session ends earlier
                self._shorten(base, session, plan[: len(seen)])
                return None
            tokens = [secrets.token_urlsafe(16) for _ in range(3)]
            base.execute(
                "INSERT INTO question (session, position, kind, pair, flipped, token, left_image,"
                " right_image, asked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (session, len(seen) + 1, asked.kind, asked.pair, asked.flipped, *tokens,
                 self._clock()),
            )  # fmt: skip
            return self._shown(asked.pair, tokens, len(seen) + 1, len(plan))

    def answer(self, session: int, token: str, choices: Mapping[str, str]) -> None:
        """Store the answers to a question, once and all together.

        The same answers again change nothing. Raises Refused for a question of another session
        (404), other answers to an answered question (409), and incomplete or unknown ones (422).
        """
        allowed = ("left", "right", "tie") if self.options.ties else ("left", "right")
        if set(choices) != set(QUESTIONS):
            raise Refused(422, f"choices: give {', '.join(QUESTIONS)}")
        if wrong := [c for c in choices.values() if c not in allowed]:
            raise Refused(422, f"choices: {wrong[0]!r} is none of {', '.join(allowed)}")
        with self._transaction() as base:
            found = base.execute(
                "SELECT id, answered FROM question WHERE session = ? AND token = ?",
                (session, token),
            ).fetchone()
            if found is None:
                raise Refused(404, "this session has no such question")
            number, answered = found
            if answered is not None:
                before = dict(
                    base.execute(
                        "SELECT category, choice FROM answer WHERE question = ?", (number,)
                    ).fetchall()
                )
                if before != dict(choices):
                    raise Refused(409, "this question was answered already")
                return
            base.execute("UPDATE question SET answered = ? WHERE id = ?", (self._clock(), number))
            base.executemany(
                "INSERT INTO answer (question, category, choice) VALUES (?, ?, ?)",
                [(number, category, choice) for category, choice in choices.items()],
            )

    def image(self, session: int, token: str) -> str | None:
        """The file behind an image's address, for the session that it was made for."""
        with self._lock:
            found = self._base.execute(
                "SELECT pair, flipped, left_image = ? FROM question"
                " WHERE session = ? AND (left_image = ? OR right_image = ?)",
                (token, session, token, token),
            ).fetchone()
        if found is None:
            return None
        pair, flipped, left = self._pairs[found[0]], bool(found[1]), bool(found[2])
        return pair.first if left != flipped else pair.second

    def asked(self, session: int, token: str) -> tuple[str, bool]:
        """The pair of a question, and whether its first image is on the left. Not for the page."""
        with self._lock:
            pair, flipped = self._base.execute(
                "SELECT pair, flipped FROM question WHERE session = ? AND token = ?",
                (session, token),
            ).fetchone()
        return str(pair), not flipped

    def withdraw(self, session: int) -> None:
        """Delete a session with all its answers."""
        with self._transaction() as base:
            base.execute("DELETE FROM session WHERE id = ?", (session,))

    def progress(self) -> tuple[int, int]:
        """Sessions with an answer, and answered questions."""
        with self._lock:
            found = self._base.execute(
                "SELECT COUNT(DISTINCT session), COUNT(*) FROM question WHERE answered IS NOT NULL"
            ).fetchone()
        return int(found[0]), int(found[1])

    def _open(self, path: Path) -> None:
        expected = self.options.as_text() | {"pool": self.pool.key, "pairs": self.pool.digest}
        with self._transaction() as base:
            if not base.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                for statement in _TABLES.split(";"):
                    base.execute(statement)
                base.executemany("INSERT INTO study VALUES (?, ?)", expected.items())
                return
            there = dict(base.execute("SELECT name, value FROM study").fetchall())
        for name, value in expected.items():
            if there.get(name) != value:
                raise ValueError(
                    f"{path}: {name}: the study was begun with '{there.get(name)}', not with "
                    f"'{value}'; use the same pairs and options, or another file for a new study"
                )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, one at a time; on the disk when the block ends."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def _plan(self, base: sqlite3.Connection, session: int) -> list[Any]:
        found = base.execute("SELECT kinds FROM session WHERE id = ?", (session,)).fetchone()
        if found is None:
            raise Refused(401, "this session is no more")
        return str(found[0]).split()

    def _shorten(self, base: sqlite3.Connection, session: int, plan: Sequence[str]) -> None:
        base.execute("UPDATE session SET kinds = ? WHERE id = ?", (" ".join(plan), session))

    def _counts(self, base: sqlite3.Connection, kind: str) -> dict[tuple[str, bool], int]:
        """How often each pair was shown on each side: answered, or asked a short while ago."""
        rows = base.execute(
            "SELECT pair, flipped, COUNT(*) FROM question"
            " WHERE kind = ? AND (answered IS NOT NULL OR asked > ?) GROUP BY pair, flipped",
            (kind, self._clock() - OPEN_SECONDS),
        )
        return {(pair, bool(flipped)): count for pair, flipped, count in rows}

    def _shown(self, pair: str, tokens: Sequence[str], position: int, total: int) -> Question:
        token, left, right = tokens
        return Question(token, self._pairs[pair].prompt, left, right, position, total)


class Row(NamedTuple):
    """An answer as stored."""

    session: int
    device: Device
    position: int
    kind: str
    pair: str
    flipped: bool
    category: str
    choice: Choice
    seconds: float


def read_answers(path: Path) -> tuple[dict[str, str], list[Row]]:
    """What a study was begun with (format, origin, pool, pairs, ...), and its answers.

    A page that runs meanwhile is not disturbed. Raises FileNotFoundError, or ValueError for a file
    that is no such store.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: no answers were collected there")
    try:
        base = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            study = dict(base.execute("SELECT name, value FROM study").fetchall())
            rows = base.execute(
                "SELECT session, device, position, kind, pair, flipped, category, choice,"
                " answered - asked FROM answer JOIN question ON question.id = answer.question"
                " JOIN session ON session.id = question.session"
                " ORDER BY session, position, category"
            ).fetchall()
        finally:
            base.close()
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path}: cannot be read as a store of answers ({error})") from error
    if study.get("format") != str(FORMAT):
        raise ValueError(f"{path}: is of format {study.get('format')}, expected {FORMAT}")
    return study, [Row(s, d, p, k, pair, bool(f), c, x, t) for s, d, p, k, pair, f, c, x, t in rows]
