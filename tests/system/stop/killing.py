"""Start Snakemake, kill it and all its jobs at random moments, start it again, until it is done."""

import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from pcpo.records import history
from tests.system.pipeline import environment, jobs, snakemake

# Longest seconds from a point to its kill: a job of smoke takes ten, an epoch two.
LONGEST = {"jobs": 8.0, "saves": 2.0}
# What Snakemake prints of a job that failed, and what a command says of a file that it cannot trust
FAILED = re.compile(r"Error in (rule|group)|Traceback|exited with non-zero|job failed", re.I)
DAMAGED = re.compile(r"damaged|^(\d\d:\d\d:\d\d )?error: ", re.M)


class Killed:
    """A workflow in `folder` that is killed `kills` times on its way.

    The moments are drawn from `seed`: two in three some seconds after a point of the plan, uniform
    among its jobs, one in three soon after a training saved its state, uniform among the saves. So
    they spread over the whole of it, however fast it runs; two that fall into the same job make the
    second kill hit the start of Snakemake itself.
    """

    def __init__(self, folder, arguments, kills, seed, epochs=2, say=print):
        self.folder, self.arguments, self.say = folder, list(arguments), say
        self.draw = random.Random(seed)
        code, plan = snakemake(folder, "-n", *self.arguments)
        assert code == 0, plan
        planned = jobs(plan)
        self.total = {"jobs": planned["total"], "saves": planned["train"] * epochs}
        self.reached = {"jobs": 0, "saves": 0}
        # What is due during the last, short jobs could find nothing left to kill.
        self.points = {
            kind: sorted(self.draw.uniform(0, self.total[kind] * 0.95) for _ in range(count))
            for kind, count in (("jobs", kills - kills // 3), ("saves", kills // 3))
        }
        self.kills = 0

    def run(self):
        """Until a start of Snakemake comes to its end, which it must reach without an error."""
        while True:
            output, code = self._start()
            assert not FAILED.search(output), output[-6000:]
            self._check_logs()
            if code == 0:
                self.say(f"done after {self.kills} kills")
                return
            assert code == -signal.SIGKILL, f"snakemake ended with {code}\n{output[-6000:]}"
            code, output = snakemake(self.folder, "--unlock", *self.arguments)
            assert code == 0, output

    def _start(self):
        """One start, killed when the next point is due; returns (what it printed, exit code)."""
        printed = self.folder / "snakemake.out"
        with printed.open("w") as handle:
            process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *self.arguments],
                cwd=self.folder, env=environment(self.folder),
                stdout=handle, stderr=handle, start_new_session=True,
            )  # fmt: skip
        due, kind = math.inf, None
        while process.poll() is None:
            time.sleep(0.05)
            self._count(printed.read_text())
            if kind is None and (kind := self._next()):
                due = time.monotonic() + self.draw.uniform(0, LONGEST[kind])
            if time.monotonic() >= due:
                self._kill(process, kind)
        output = printed.read_text()
        self._count(output)
        return output, process.returncode

    def _count(self, output):
        """How far the workflow is. A start plans the jobs that earlier ones left."""
        if steps := re.findall(r"^(\d+) of (\d+) steps", output, re.M):
            done, planned = map(int, steps[-1])
            self.reached["jobs"] = self.total["jobs"] - planned + done
        runs = self.folder.glob("results/*/runs/*/*/*")
        self.reached["saves"] = sum(e["event"] == "saved" for r in runs for e in history.read(r))

    def _next(self):
        """The kind of a point that is reached."""
        for kind, points in self.points.items():
            # Job n is under way when n are done; save n + 1 is there when n + 1 are.
            if points and self.reached[kind] >= int(points[0]) + (kind == "saves"):
                return kind
        return None

    def _kill(self, process, kind):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.points[kind].pop(0)
        self.kills += 1
        where = ", ".join(f"{self.reached[k]} of {self.total[k]} {k}" for k in self.total)
        self.say(f"kill {self.kills} at {where}")
        deadline = time.monotonic() + 10
        while left := _session(process.pid):
            assert time.monotonic() < deadline, f"the kill left processes behind: {left}"
            time.sleep(0.02)

    def _check_logs(self):
        """No job met a file that it could not trust. A job's next start deletes its log."""
        for log in self.folder.glob("results/*/logs/**/*.log"):
            assert not DAMAGED.search(log.read_text()), f"{log}:\n{log.read_text()}"


def _session(leader):
    """Living processes of a session: (number, name)."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = file.read_text().split(" (", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, fields = rest.rsplit(") ", 1)
        state, _, _, session = fields.split()[:4]
        if int(session) == leader and state not in "ZX":
            found.append((int(number), name))
    return found
