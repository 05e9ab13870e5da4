"""A small pool of pairs, and the page of a study at an address of this machine."""

import contextlib
import http.client
import json
import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import uvicorn

from pcpo.preference.answers import Answers, Options
from pcpo.preference.app import Site, build
from pcpo.preference.limits import Rate
from pcpo.preference.pairs import Checkpoint, Pictures, read_key, write_pool
from pcpo.preference.questions import COMPARISONS, QUESTIONS
from pcpo.preference.schedule import Design

EPOCHS = {"pcpo": 12, "lower_reward": 18, "higher_reward": 24}
EXPERIMENT = "06_dancegrpo_flux_hps"
FREE = Rate(1e6, 10**6)  # no limit
MARKUP = "<img src=x onerror=\"document.title='broken'\"> & a <b>cat</b>"


def pictures(prompts=6, images=4, seeds=(0,), texts=()):
    """PCPO's images are red, the baseline's green (lower reward) and blue (higher)."""
    found = []
    for prompt in range(prompts):
        for image in range(images):
            made = {}
            for channel, name in enumerate(("pcpo", *COMPARISONS)):
                made[name] = np.full((3, 16, 16), (8 * prompt + image) % 200, np.uint8)
                made[name][channel] = 250
            found.append(
                Pictures(
                    prompt_id=prompt,
                    prompt=texts[prompt] if prompt < len(texts) else f"a cat, number {prompt}",
                    image_seed=image, seed=seeds[image % len(seeds)],
                    pcpo=made.pop("pcpo"), baseline=made, epochs=EPOCHS,
                )
            )  # fmt: skip
    return found


def checkpoints(rewards=(0.5, 0.4, 0.6)):
    return [
        Checkpoint(seed=0, arm="pcpo" if role == "pcpo" else "baseline", epoch=EPOCHS[role],
                   role=role, reward=reward, images=24)
        for role, reward in zip(("pcpo", *COMPARISONS), rewards, strict=True)
    ]  # fmt: skip


def make_study(folder, **options):
    """Pairs and key in a folder, as `snakemake study_pairs` leaves them."""
    pool = write_pool(
        folder / "pairs", folder / "keys", pictures(**options), checkpoints(), "demo", EXPERIMENT,
        checks=4,
    )  # fmt: skip
    key = read_key(folder / "keys", pool.key, pool.digest)
    return SimpleNamespace(pool=pool, key=key, pairs=folder / "pairs", keys=folder / "keys",
                           file=folder / "answers.sqlite")  # fmt: skip


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path)


@contextlib.contextmanager
def serving(study, design=None, ties=False, **site):
    """The page of a study; `address` as http://127.0.0.1:PORT."""
    design = design or Design(pairs=6, checks=1, repeats=1)
    answers = Answers(study.file, study.pool, Options(design, ties))
    settings = {"requests": FREE, "sessions": FREE, "secure": False} | site
    app = build(answers, study.pairs, Site("Ann Lee", **settings))
    listener = socket.create_server(("127.0.0.1", 0), backlog=500)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = listener.getsockname()[1]
    try:
        yield SimpleNamespace(port=port, address=f"http://127.0.0.1:{port}", answers=answers)
    finally:
        server.should_exit = True
        thread.join(10)
        answers.close()


class Rater:
    """What a browser sends, by hand."""

    def __init__(self, port, device="desktop"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.cookie = None
        if device is not None:
            self.begin(device)

    def begin(self, device):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.send("POST", "/begin", f"device={device}", form)
        if answer.status == 303:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def send(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        data = response.read()
        return SimpleNamespace(status=response.status, headers=response.headers, body=data,
                               json=lambda: json.loads(data))  # fmt: skip

    def question(self):
        return self.send("GET", "/api/question").json()

    def answer(self, token, choices, headers=None):
        kind = {"Content-Type": "application/json"} | (headers or {})
        body = json.dumps({"question": token, "choices": choices})
        return self.send("POST", "/api/answer", body, kind)

    def session(self, choice="left", images=True):
        """Answer to the end; the questions in order."""
        asked = []
        question = self.question()
        while "done" not in question:
            asked.append(question)
            if images:
                for side in ("left", "right"):
                    assert self.send("GET", question[side]).body.startswith(b"\x89PNG")
            question = self.answer(question["question"], dict.fromkeys(QUESTIONS, choice)).json()
        return asked
