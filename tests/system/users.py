"""Other users of this machine, for tests that root runs."""

import os
import shutil
import tempfile
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcpo.records.lock import Busy
from pcpo.records.replace import explained

GROUP = 23456
LOCKED = 75


@contextmanager
def shared_folder(mode):
    """A folder that others reach, of the group `GROUP`; skips where this is not root."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes other users")
    folder = Path(tempfile.mkdtemp(prefix="pcpo_test_", dir="/tmp"))
    try:
        os.chown(folder, -1, GROUP)
        folder.chmod(mode)
        yield folder
    finally:
        shutil.rmtree(folder)


def as_user(number, act, umask=0o002):
    """Fork a process of another user of `GROUP` that calls `act`.

    Returns 0 where it ends well, LOCKED where a lock is held, and else what the error says.
    """
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        code = 1
        try:
            os.umask(umask)
            os.setgroups([GROUP])
            os.setgid(GROUP)
            os.setuid(number)
            act()
            code = 0
        except Busy:
            code = LOCKED
        except OSError as error:
            os.write(writing, explained(error).encode())
        except BaseException as error:
            os.write(writing, str(error).encode())
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as handle:
        message = handle.read()
    return message or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
