#!/usr/bin/env bash
# Snakemake runs this once in the new environment, in the workflow's directory: it makes `pcpo`
# importable there from any directory (commands started in the repository find it without).
#
# By a path file and not by `pip install --no-deps -e .`: a build would ask the index for setuptools
# a second time and write into the repository while other jobs read it. Several clones may share an
# environment (--conda-prefix): each runs its own code, as `python -m` looks in its directory first.
set -euo pipefail

if [ ! -f "$PWD/pcpo/__init__.py" ]; then
    echo "error: no pcpo/ in $PWD; start snakemake in the repository's root" >&2
    exit 1
fi
site=$("$CONDA_PREFIX/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$PWD" > "$site/pcpo.pth"
