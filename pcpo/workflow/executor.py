"""Whether Snakemake runs its jobs on this machine, and what it then costs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

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


def without_job_limit(scheduler: Any) -> None:
    """Lift Snakemake's limit on jobs per second, which one machine does not need.

    Under a limit Snakemake 9.27 looks for jobs once a second *for each job that has finished* while
    others wait: after 60 jobs that is a quarter of a core, and it grows. The command line has no
    value for no limit. scheduler: of the workflow, before its first job.
    """
    if hasattr(scheduler, "job_rate_limiter"):
        scheduler.job_rate_limiter = None
