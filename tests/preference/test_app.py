"""What the page gives, and what it refuses: forged, replayed, too long, too often, foreign."""

import http.client
import json
import re
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from pcpo.preference.answers import read_answers
from pcpo.preference.app import HEADERS, MOST_BODY, Site, _consent
from pcpo.preference.limits import Limiter, Rate, of_address
from pcpo.preference.questions import QUESTIONS
from pcpo.preference.schedule import Design
from tests.preference.conftest import MARKUP, Rater, make_study, serving

LEFT = dict.fromkeys(QUESTIONS, "left")


@pytest.fixture
def site(study):
    with serving(study) as site:
        yield site


@pytest.fixture
def rater(site):
    return Rater(site.port)


def test_a_session_from_consent_to_the_end(study, site):
    visitor = Rater(site.port, device=None)
    assert b"Ann Lee" in visitor.send("GET", "/").body
    assert visitor.send("GET", "/pairs").status == 303
    begun = visitor.begin("phone")
    assert (begun.status, begun.headers["location"]) == (303, "/pairs")
    assert "HttpOnly" in begun.headers["set-cookie"]
    assert "SameSite=strict" in begun.headers["set-cookie"]
    assert visitor.send("GET", "/").headers["location"] == "/pairs"
    asked = visitor.session()
    assert [question["position"] for question in asked] == [*range(1, 9)]
    assert visitor.question() == {"done": True}
    _, rows = read_answers(study.file)
    assert len(rows) == 8 * len(QUESTIONS)


def test_the_browser_gets_nothing_of_the_key(study, site, rater):
    """Neither a pair, a file, an arm, a comparison, a kind, nor an address that comes twice."""
    secrets = {part for p in study.pool.pairs for part in (p.id, p.group, p.first, p.second)}
    secrets |= {"pcpo", "baseline", "reward", "epoch", "check", "repeat", "intact", "damaged"}
    addresses = []
    for question in rater.session():
        assert set(question) == {"question", "prompt", "left", "right", "position", "total"}
        addresses += [question["question"], question["left"], question["right"]]
    assert len(set(addresses)) == len(addresses)
    texts = [rater.send("GET", "/pairs").body.decode(), json.dumps(addresses)]
    for text in texts:
        assert not [secret for secret in secrets if secret in text]


def test_an_images_response_does_not_tell_the_file(site, rater):
    question = rater.question()
    headers = rater.send("GET", question["left"]).headers
    assert set(headers) <= {
        *map(str.lower, HEADERS), "content-type", "content-length", "date", "server",
    }  # fmt: skip


def test_every_response_has_the_headers_that_protect_it(site, rater):
    for path in ("/", "/pairs", "/static/pairs.js", "/api/question", "/image/none", "/none"):
        headers = rater.send("GET", path).headers
        for name, value in HEADERS.items():
            assert headers[name] == value
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_the_cookie_is_for_tls_alone_unless_it_is_a_trial(study):
    with serving(study, secure=True) as site:
        begun = Rater(site.port, device=None).begin("phone")
        assert "Secure" in begun.headers["set-cookie"]


# --- hostile ------------------------------------------------------------------------------------


FORGED = ("forged", "", "a" * 3000, "1", "' OR 1=1 --", "\xff\xfe")


def test_a_forged_session_gets_nothing(site, rater):
    question = rater.question()
    forger = Rater(site.port, device=None)
    for cookie in FORGED:
        forger.cookie = f"study={cookie}"
        assert forger.send("GET", "/api/question").status == 401, cookie
        assert forger.send("GET", question["left"]).status == 401, cookie
        assert forger.answer(question["question"], LEFT).status == 401, cookie
        assert forger.send("GET", "/pairs").headers["location"] == "/", cookie


def test_a_forged_question_and_the_question_of_another_are_refused(study, site, rater):
    other = Rater(site.port)
    rater.question()
    assert rater.answer("A" * 22, LEFT).status == 404
    assert rater.answer(study.pool.pairs[0].id, LEFT).status == 404
    assert rater.answer(other.question()["question"], LEFT).status == 404
    assert rater.send("GET", other.question()["left"]).status == 404
    assert rater.send("GET", f"/image/{study.pool.pairs[0].first}").status == 404
    for path in ("/image/..%2f..%2fpairs.json", "/image/../pairs.json", "/static/../app.py",
                 "/static/%2e%2e/app.py", "/pairs.json", "/images/x.png"):  # fmt: skip
        assert rater.send("GET", path).status == 404
    assert read_answers(study.file)[1] == []


def test_a_replay_changes_nothing(study, site, rater):
    token = rater.question()["question"]
    second = rater.answer(token, LEFT).json()
    again = rater.answer(token, LEFT)
    assert (again.status, again.json()) == (200, second)
    assert rater.answer(token, LEFT | {"overall": "right"}).status == 409
    _, rows = read_answers(study.file)
    assert [row.choice for row in rows] == ["left"] * len(QUESTIONS)


BODIES = (
    *(b"", b"{", b"[]", b"null", b"7", b"[" * 4000, b"\xff\xfe"),
    b'{"question": 1, "choices": {}}',
    b'{"question": "x", "choices": []}',
    b'{"question": "x", "choices": {"overall": ["left"]}}',
    b'{"question": "\\ud800", "choices": {"overall": "left", "quality": "left",'
    b' "alignment": "left"}}',
)


def test_a_body_that_is_no_answer_is_refused(site, rater):
    for body in BODIES:
        answer = rater.send("POST", "/api/answer", body, {"Content-Type": "application/json"})
        assert answer.status in (404, 422) and answer.json()["error"], body
        plain = rater.send("POST", "/api/answer", body, {"Content-Type": "text/plain"})
        assert plain.status == 415, body
    assert rater.question()["position"] == 1


@pytest.mark.parametrize("path", ["/api/answer", "/begin", "/api/withdraw"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_body_is_refused(site, path, chunked):
    rater = Rater(site.port)
    data = b"x" * (MOST_BODY + 1)
    headers = {"Content-Type": "application/json", "Cookie": rater.cookie}
    if path == "/begin":
        del headers["Cookie"]  # with a session there is nothing to read
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("POST", path, iter([data]) if chunked else data, headers,
                       encode_chunked=chunked)  # fmt: skip
    answer = connection.getresponse()
    if path == "/api/withdraw":  # it reads no body
        assert answer.status in (200, 413)
    else:
        assert answer.status == 413
    connection.close()


def test_another_site_cannot_send_for_a_rater(site, rater):
    question = rater.question()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):  # fmt: skip
        assert rater.answer(question["question"], LEFT, headers).status == 403
        assert rater.send("POST", "/api/withdraw", "{}", headers).status == 403
        assert rater.send("POST", "/begin", "device=phone", headers).status == 403
    own = {"Origin": f"http://127.0.0.1:{site.port}", "Sec-Fetch-Site": "same-origin"}
    assert rater.answer(question["question"], LEFT, own).status == 200


def test_a_prompt_with_markup_comes_as_text(tmp_path):
    study = make_study(tmp_path, prompts=1, images=8, texts=[MARKUP])
    with serving(study) as site:
        rater = Rater(site.port)
        answer = rater.send("GET", "/api/question")
        assert answer.json()["prompt"] == MARKUP
        assert answer.headers["content-type"] == "application/json"


def test_a_contact_with_markup_stays_text(study):
    with serving(study) as site:
        pass
    page = _consent(Site("<script>alert(1)</script>"), site.answers)
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_an_unknown_device_and_method_are_refused(site):
    visitor = Rater(site.port, device=None)
    assert visitor.begin("toaster").status == 422
    assert visitor.send("GET", "/begin").status == 405
    assert visitor.send("DELETE", "/api/answer").status == 405


def test_an_error_of_a_navigation_is_a_page(site):
    answer = Rater(site.port, device=None).send("GET", "/none", headers={"Accept": "text/html"})
    assert answer.status == 404 and b"To the first page" in answer.body


def test_withdrawing_deletes_the_session(study, site, rater):
    rater.answer(rater.question()["question"], LEFT)
    assert rater.send("POST", "/api/withdraw", "{}").status == 200
    assert rater.send("GET", "/api/question").status == 401
    assert read_answers(study.file)[1] == []


# --- limits -------------------------------------------------------------------------------------


def test_one_address_cannot_begin_without_end(study):
    with serving(study, sessions=Rate(1e-6, 3)) as site:
        statuses = [Rater(site.port, device=None).begin("phone").status for _ in range(5)]
    assert statuses == [303, 303, 303, 429, 429]


def test_one_address_cannot_ask_without_end(study):
    with serving(study, requests=Rate(1e-6, 10)) as site:
        visitor = Rater(site.port, device=None)
        answers = [visitor.send("GET", "/") for _ in range(12)]
    assert [answer.status for answer in answers] == [200] * 10 + [429] * 2
    assert answers[-1].headers["retry-after"] == "5"
    assert answers[-1].headers["content-security-policy"]


def test_behind_a_proxy_each_rater_has_an_address_of_its_own(study):
    with serving(study, requests=Rate(1e-6, 2)) as site:
        visitor = Rater(site.port, device=None)
        statuses = [
            visitor.send("GET", "/", headers={"X-Forwarded-For": address}).status
            for address in ("192.0.2.1",) * 3 + ("192.0.2.2",) * 2
        ]
    assert statuses == [200, 200, 429, 200, 200]


def test_a_limit_lets_as_many_through_as_it_says():
    now = [0.0]
    limiter = Limiter(Rate(2.0, 3), clock=lambda: now[0])
    assert [limiter.allow("a") for _ in range(4)] == [True] * 3 + [False]
    assert limiter.allow("b")
    now[0] = 0.5
    assert [limiter.allow("a") for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [limiter.allow("a") for _ in range(4)] == [True] * 3 + [False]


def test_a_limit_needs_bounded_memory():
    limiter = Limiter(Rate(1.0, 1), keys=100)
    for number in range(10_000):
        limiter.allow(str(number))
    assert len(limiter._buckets) == 100


def test_what_counts_as_one_address():
    assert of_address("192.0.2.7") == of_address("::ffff:192.0.2.7") == "192.0.2.7"
    assert of_address("2001:db8:1:2::3") == of_address("2001:db8:1:2:ffff::")
    assert of_address("2001:db8:1:2::3") != of_address("2001:db8:1:3::3")
    assert of_address("testclient") == "testclient"


# --- many at once -------------------------------------------------------------------------------


def test_two_hundred_raters_at_once(tmp_path):
    """All are served; each pair and side evenly; no question is lost or stored twice."""
    study = make_study(tmp_path, prompts=10, images=10)
    together = threading.Barrier(50)

    def answer_all(number):
        if number < 50:  # a wave in the same moment
            together.wait(20)
        rater = Rater(site.port, ("phone", "desktop")[number % 2])
        asked = rater.session("left" if number % 3 else "right", images=number < 20)
        rater.connection.close()
        return len(asked)

    with (
        serving(study, Design(pairs=4, checks=1, repeats=0)) as site,
        ThreadPoolExecutor(50) as pool,
    ):
        assert set(pool.map(answer_all, range(200))) == {5}
    _, rows = read_answers(study.file)
    assert len(rows) == 200 * 5 * len(QUESTIONS)
    assert len({(row.session, row.position, row.category) for row in rows}) == len(rows)
    pairs = [row for row in rows if row.kind == "pair" and row.category == "overall"]
    groups = {pair.id: pair.group for pair in study.pool.pairs}
    assert sorted(Counter(groups[row.pair] for row in pairs).values()) == [400, 400]
    shown = Counter(row.pair for row in pairs)
    assert len(shown) == 200 and max(shown.values()) <= 9  # 4 each on average
    left = [(study.key.pairs[row.pair].first == "pcpo") != row.flipped for row in pairs]
    assert abs(sum(left) - 400) <= 40  # both sides of a pair in turn: nearer than by coin


def test_one_rater_in_two_windows_sees_one_session(study, site, rater):
    """Two tabs, or a double click: the same question, answered once."""
    other = Rater(site.port, device=None)
    other.cookie = rater.cookie
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda r: r.question(), (rater, other))
    assert one == two
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda r: r.answer(one["question"], LEFT).status, (rater, other)))
    assert found == [200, 200]
    assert len(read_answers(study.file)[1]) == len(QUESTIONS)


def test_half_a_request_blocks_nobody(site):
    with socket.create_connection(("127.0.0.1", site.port)) as idle:
        idle.sendall(b"POST /api/answer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert len(Rater(site.port).session()) == 8


def test_no_address_is_printed(study, capfd):
    with serving(study) as site:
        Rater(site.port).session()
    printed = "".join(capfd.readouterr())
    assert not re.search(r"127\.0\.0\.1", printed)
