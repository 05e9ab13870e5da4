# The software of the pipeline in one image, for those who prefer containers: docs/environments.md.
#
#   docker build -t pcpo .
#   docker run --rm --gpus all --shm-size=8g -v "$PWD:/pcpo" --user "$(id -u):$(id -g)" pcpo --cores all
FROM python:3.11-slim-bookworm

# gcc and the C library's headers: compiled denoisers need them on a GPU (Python's own are there).
# git names the commit in the provenance of results; fontconfig and libraries for a display are not
# needed: matplotlib brings its fonts and OpenCV is the headless build. Their versions are the
# release's; no result depends on git's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc git libc6-dev \
    && rm -rf /var/lib/apt/lists/*

# A layer of its own: it is made again only when the lock changes. pip takes the index that it is
# configured with, and what it installs from there must have the locked hashes.
COPY requirements.lock /pcpo/
RUN python -m pip install --no-cache-dir --root-user-action=ignore --require-hashes \
    --requirement /pcpo/requirements.lock

WORKDIR /pcpo
COPY . /pcpo
# setuptools is in the lock, so the build needs no index.
RUN python -m pip install --no-cache-dir --root-user-action=ignore --no-deps \
    --no-build-isolation --editable /pcpo

# Any user may run it: caches lie where anyone may write, and Snakemake asks for a name that a bare
# number has not.
ENV USER=pcpo \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    OMP_NUM_THREADS=1

ENTRYPOINT ["snakemake"]
CMD ["--cores", "all"]
