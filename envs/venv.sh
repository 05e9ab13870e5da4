#!/usr/bin/env bash
# Makes a virtual environment of requirements.lock, complete or marked as not:
#
#     envs/venv.sh PYTHON FOLDER
#
# `.unfinished` lies in the folder while it is made, `.locked` from then on. After a kill all beside
# `.unfinished` is deleted and made again: pip takes a package for installed of which it had written
# the first files. A folder with neither of them is the user's own: it gets the packages, and nothing
# in it is deleted.
set -euo pipefail

python=$1 venv=$2
lock=requirements.lock ready=$venv/.locked unfinished=$venv/.unfinished

fail() {
    echo "error: $*" >&2
    exit 1
}
runs() { "$venv/bin/python" -c "" 2>/dev/null; } # not after an upgrade of the system's Python
empty() { find "$venv/" -mindepth 1 -maxdepth 1 ! -name .unfinished ! -name .lock -exec rm -rf {} +; }

"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "requirements.lock is for Python 3.11; set PYTHON=python3.11"
mkdir -p "$venv"
if command -v flock >/dev/null; then # one at a time
    exec 9>>"$venv/.lock"
    flock 9
fi
touch "$venv/.lock" # the time from which on a change of the lock is another
if [ ! -e "$venv/bin" ]; then
    touch "$unfinished"
elif [ -e "$ready" ]; then
    if [ ! "$lock" -nt "$ready" ] && runs; then
        exit 0 # another one has made it meanwhile
    fi
    mv "$ready" "$unfinished"
    runs || empty
elif [ -e "$unfinished" ]; then
    empty
fi

"$python" -m venv "$venv" ||
    fail "the venv module is missing; on Debian: apt-get install python3-venv"
"$venv/bin/python" -m pip install --quiet --require-hashes --requirement "$lock"
"$venv/bin/python" envs/whole.py "$lock" ||
    fail "$venv is not complete; delete it, and start make again"
rm -f "$unfinished"
touch -r "$venv/.lock" "$ready"
