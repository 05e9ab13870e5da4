"""Whether Snakemake runs its jobs on this machine, by its command line and its profiles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO

from snakemake.cli import parse_args
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry


def executes_here(arguments: Sequence[str], otherwise: bool) -> bool:
    """Whether jobs of a Snakemake that was started with these arguments run on this machine.

    A Snakefile cannot see which executor Snakemake will use, and `--jobs` beside `--cores` does not
    decide it. So Snakemake's own parser reads its arguments a second time. `otherwise` is the
    answer if that fails, for example where another program started Snakemake.
    """
    try:
        with redirect_stderr(StringIO()):  # it prints the profiles again
            _, parsed = parse_args(arguments)
    except SystemExit:
        return otherwise
    plugin = ExecutorPluginRegistry().get_plugin(parsed.executor or "local")
    here: bool = plugin.common_settings.local_exec
    return here
