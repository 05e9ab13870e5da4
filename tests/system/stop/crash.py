"""Kill a process in the middle of its work on files: SIGKILL at the n-th time it touches one."""

import json
import os
import signal
import sys
import traceback

from pcpo.records.replace import _host

# What Python says before it changes a folder's entries or opens a file.
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def touched(work, folder):
    """What `work()`, in a process of its own, does to files below `folder`, in order."""
    reading, writing = os.pipe()
    seen = []
    code = _in_child(work, folder, seen.append, lambda: _send(writing, seen))
    os.close(writing)
    with os.fdopen(reading) as handle:
        content = handle.read()
    assert code == 0
    return json.loads(content)


def killed_at(number, work, folder):
    """`work()` in a process that is killed when it touches files below `folder` for the n-th time.

    Returns what it was about to do, or "" where it ended before.
    """
    reading, writing = os.pipe()
    seen = []

    def meet(what):
        seen.append(what)
        if len(seen) == number:
            os.write(writing, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    code = _in_child(work, folder, meet)
    os.close(writing)
    what = os.read(reading, 4000).decode()
    os.close(reading)
    assert code == (-signal.SIGKILL if what else 0)
    return what


def _send(pipe, events):
    text = json.dumps(events).encode()
    assert os.write(pipe, text) == len(text)  # a pipe holds 64 kB


def _in_child(work, folder, meet, after=lambda: None):
    """Fork, and call `meet` with each event below `folder`; returns the exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def hook(event, arguments):
        if event in EVENTS and str(arguments[0]).startswith(str(folder)):
            own = f".{_host()}-{os.getpid()}.part"  # else each process names it again
            meet(f"{event} {arguments[0]}".replace(own, ".part"))

    code = 1
    try:
        sys.addaudithook(hook)
        work()
        after()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
