"""Whether Snakemake runs its jobs on this machine, by its command line and its profiles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO

from snakemake.cli import parse_args
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry


def executes_here(arguments: Sequence[str], otherwise: bool) -> bool:
    """Whether jobs of a Snakemake that was started with these arguments run on this machine.

    A Snakefile is not told which executor there will be, and `--jobs` beside `--cores` says nothing
    of it: what Snakemake started with is read once more, by its own parser. `otherwise` is the
    answer where that fails, as another program started it and no command line.
    """
    try:
        with redirect_stderr(StringIO()):  # which profiles it takes, a second time
            _, parsed = parse_args(arguments)
    except SystemExit:
        return otherwise
    plugin = ExecutorPluginRegistry().get_plugin(parsed.executor or "local")
    here: bool = plugin.common_settings.local_exec
    return here
