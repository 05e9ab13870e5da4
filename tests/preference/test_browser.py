"""The page in a real browser: by keyboard and by touch, on a phone and on a desktop."""

import shutil

import pytest

from pcpo.preference.answers import read_answers
from pcpo.preference.frame import read_study
from pcpo.preference.questions import QUESTIONS
from pcpo.preference.schedule import Design
from tests.preference.conftest import MARKUP, make_study, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
# Whatever the page asks for, only this machine is reached.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # fmt: skip
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True,
         "device_scale_factor": 2, "screen": {"width": 360, "height": 740}}  # fmt: skip
DESKTOP = {"viewport": {"width": 1400, "height": 900}, "screen": {"width": 1400, "height": 900}}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def site(study):
    with serving(study, Design(pairs=6, checks=1, repeats=1)) as site:
        yield site


@pytest.fixture
def open_page(chromium):
    """Open a page as a new rater: `open_page(site, **PHONE)`. Its complaints fail the test."""
    contexts, pages = [], []

    def opened(site, **device):
        context = chromium.new_context(**device)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.asked, page.complaints = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        pages.append(page)
        page.goto(site.address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [page.complaints for page in pages] == [[]] * len(pages)


def ready(page, position):
    """Wait for a question with both images."""
    page.wait_for_selector(f'#study[aria-busy=false] #count:has-text("{position} of ")')


def begin(page, touch=False):
    (page.tap if touch else page.click)("#begin")
    ready(page, 1)


def stored(study):
    return [(r.position, r.category, r.choice, r.device) for r in read_answers(study.file)[1]]


def test_a_whole_session_by_keyboard(study, site, open_page):
    page = open_page(site, **DESKTOP)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the consent's button is the first thing to reach
    for position in range(1, 9):
        ready(page, position)
        for key in ("ArrowLeft", "ArrowRight", "2"):
            page.keyboard.press(key)
        page.keyboard.press("Enter")
    page.wait_for_selector("#done")
    expected = zip(QUESTIONS, ("left", "right", "right"), strict=True)
    chosen = dict(expected)
    assert sorted(stored(study)) == sorted(
        (position, category, chosen[category], "desktop")
        for position in range(1, 9)
        for category in QUESTIONS
    )
    page.reload()
    page.wait_for_selector("#done")
    assert all(url.startswith((site.address, "data:")) for url in page.asked)


def test_a_whole_session_by_touch(study, site, open_page):
    page = open_page(site, **PHONE)
    begin(page, touch=True)
    for position in range(1, 9):
        ready(page, position)
        for category in QUESTIONS:
            page.tap(f"[data-category={category}] [data-choice=left]")
        page.tap("#next")
    page.wait_for_selector("#done")
    assert {(choice, device) for _, _, choice, device in stored(study)} == {("left", "phone")}
    frame = read_study(study.file, study.keys).frame
    left = frame[frame["preferred"].isin(["pcpo", "intact"])]
    assert set(left["side"]) <= {"left"}  # always left: PCPO only where it was on the left


@pytest.mark.parametrize("device", [PHONE, DESKTOP], ids=["360", "1400"])
def test_everything_fits_and_can_be_hit(site, open_page, device):
    page = open_page(site, **device)
    width, height = (device["viewport"][side] for side in ("width", "height"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    begin(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = {name: page.locator(name).bounding_box() for name in ("#left", "#right", "#next")}
    left, right = boxes["#left"], boxes["#right"]
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    assert abs(left["width"] - right["width"]) < 1
    assert left["width"] >= 0.4 * min(width, 900)
    assert boxes["#next"]["y"] + boxes["#next"]["height"] <= height  # nothing to scroll
    for button in page.locator("#questions button, #next").all():
        assert button.bounding_box()["height"] >= 44
    page.click("#closer")
    larger = page.locator("#left").bounding_box()
    assert larger["width"] > 1.3 * left["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_choice_can_be_changed_until_it_is_sent(study, site, open_page):
    page = open_page(site, **DESKTOP)
    begin(page)
    assert page.is_disabled("#next")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")  # ties are off: it scrolls
    page.keyboard.press("Enter")  # not complete: nothing happens
    assert stored(study) == []
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.click("[data-category=quality] [data-choice=right]")
    page.keyboard.press("Enter")
    ready(page, 2)
    assert {c: choice for _, c, choice, _ in stored(study)} == {
        "overall": "right", "quality": "right", "alignment": "left",
    }  # fmt: skip


def test_ties_are_offered_where_the_study_has_them(study, open_page):
    with serving(study, Design(2, 0, 0), ties=True) as site:
        page = open_page(site, **PHONE)
        begin(page)
        assert page.locator("[data-choice=tie]").count() == len(QUESTIONS)
        for key in ("ArrowDown", "0", "ArrowLeft", "Enter"):
            page.keyboard.press(key)
        ready(page, 2)
    assert [choice for _, _, choice, _ in stored(study)].count("tie") == 2


def test_a_reload_in_the_middle_shows_the_same_question(study, site, open_page):
    page = open_page(site, **PHONE)
    begin(page)
    for category in QUESTIONS:
        page.tap(f"[data-category={category}] [data-choice=right]")
    page.tap("#next")
    ready(page, 2)
    images = "['left', 'right'].map(id => document.getElementById(id).src)"
    before, prompt = page.evaluate(images), page.text_content("#prompt")
    page.reload()
    ready(page, 2)
    assert (page.evaluate(images), page.text_content("#prompt")) == (before, prompt)
    other = page.context.new_page()  # the browser was closed, and the first page is opened again
    other.goto(site.address)
    ready(other, 2)
    assert other.evaluate(images) == before
    assert len(stored(study)) == len(QUESTIONS)


def test_two_raters_at_once_do_not_meet(study, site, open_page):
    one, two = open_page(site, **PHONE), open_page(site, **DESKTOP)
    begin(one)
    begin(two)
    images = "document.getElementById('left').src"
    assert one.evaluate(images) != two.evaluate(images)
    for position in (1, 2):
        for page, key in ((one, "ArrowLeft"), (two, "ArrowRight")):
            ready(page, position)
            for press in (key, key, key, "Enter"):
                page.keyboard.press(press)
    ready(one, 3)
    ready(two, 3)
    assert {(choice, device) for _, _, choice, device in stored(study)} == {
        ("left", "phone"), ("right", "desktop"),
    }  # fmt: skip


def test_markup_in_a_prompt_is_shown_as_text(tmp_path, open_page):
    study = make_study(tmp_path, prompts=1, images=8, texts=[MARKUP])
    with serving(study) as site:
        page = open_page(site, **PHONE)
        begin(page)
        assert page.text_content("#prompt") == MARKUP
        assert page.locator("#prompt *").count() == 0
        assert page.title() == "Which image is better?"


def test_a_lost_connection_loses_no_choice(study, open_page):
    with serving(study, Design(3, 0, 0)) as site:
        page = open_page(site, **PHONE)
        begin(page)
        page.route("**/api/answer", lambda route: route.abort())
        for _ in QUESTIONS:
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        page.wait_for_selector("#problem:not([hidden])")
        (complaint,) = page.complaints  # the browser's own
        assert "ERR_FAILED" in complaint
        page.complaints.clear()
        assert "choices are still here" in page.text_content("#problem")
        page.unroute("**/api/answer")
        page.click("#next")
        ready(page, 2)
    assert len(stored(study)) == len(QUESTIONS)


def test_withdrawing_deletes_everything(study, site, open_page):
    page = open_page(site, **PHONE)
    begin(page)
    for press in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "Enter"):
        page.keyboard.press(press)
    ready(page, 2)
    page.on("dialog", lambda dialog: dialog.accept())
    page.tap("#leave")
    page.wait_for_selector("#gone")
    assert stored(study) == []
    page.goto(site.address)
    page.wait_for_selector("#begin")
