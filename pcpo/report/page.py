"""The page: everything that was read, inserted into the template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pcpo.config import Scale, load_experiment, load_scale
from pcpo.config.at_scale import experiments_at, number_of
from pcpo.config.settings import NATIVE, evaluated_by
from pcpo.figures.registry import FIGURES, NO_ANSWERS, NOT_DRAWN, OF_PEOPLE
from pcpo.paths import Paths
from pcpo.records import provenance
from pcpo.report import ledger, markup
from pcpo.report.configurations import Configuration, configuration
from pcpo.report.costs import Step, read_costs
from pcpo.report.figures import Drawn, experiments_of, read_figure
from pcpo.report.figures import title as figure_title
from pcpo.report.numbers import duration, measure
from pcpo.report.plan import PlannedRow, read_plan
from pcpo.report.side_by_side import read_compared
from pcpo.report.synthetic import read_synthetic
from pcpo.report.tables import TableSection, read_tables, why_missing
from pcpo.tables.printed import PrintedTable


@dataclass(frozen=True)
class Missing:
    """A piece that the page lacks: its name, and why."""

    name: str
    title: str
    why: str


@dataclass(frozen=True)
class Page:
    """The template's data; `claims` and `questions` are None where there is no such ledger."""

    scale: Scale
    seeds: tuple[int, ...]
    made: datetime
    claims: list[ledger.JudgedClaim] | None
    questions: list[ledger.JudgedClaim] | None  # the scale's own
    tables: list[TableSection]
    drawn: list[Drawn]
    missing: list[Missing]
    synthetic: dict[str, PrintedTable]  # accuracy of the demo's models, by file
    configurations: list[Configuration]
    steps: list[Step]
    plan: list[PlannedRow]
    git: provenance.Git
    packages: list[provenance.Package]
    machine: provenance.Machine
    archive: str = ""  # the archive that the page was made from, if it is no run of this machine
    sampler: str = NATIVE  # of the evaluation images

    @property
    def not_drawn(self) -> list[Missing]:
        """Figures of the paper that no run draws."""
        return [Missing(name, figure_title(name), why) for name, why in NOT_DRAWN.items()]

    @property
    def folder(self) -> str:
        """The page's folder."""
        return Paths(self.scale.name, sampler=self.sampler).evaluated

    @property
    def up(self) -> str:
        """Start of a link from the page's folder to results/<scale>."""
        return "" if self.sampler == NATIVE else "../"


def collect(
    root: Path,
    scale: str,
    experiments: Sequence[str],
    seeds: Sequence[int],
    published: Path = Path("config/paper"),
    archive: str = "",
    sampler: str = NATIVE,
) -> Page:
    """Read results/<scale> (`root`) as far as it is there.

    `experiments` are the run's, by name. `sampler` is the sampler of the evaluation images: results
    that depend on them are read from a separate folder where it is not the native one. Raises
    ConfigError for unknown names, and ValueError with the name of a file that cannot be understood.
    """
    chosen = evaluated_by(load_scale(scale), sampler)
    evaluated = root / Path(Paths(scale, sampler=sampler).evaluated).relative_to(Paths(scale).root)
    resolved = [load_experiment(name, scale) for name in experiments]
    numbers = [experiment.number for experiment in resolved]
    at_scale = {number_of(name) for name in experiments_at(scale)}
    missing = []

    ledger_path, compare_path = evaluated / "claims.csv", evaluated / "compare.csv"
    claims = ledger.read_ledger(ledger_path) if ledger_path.exists() else None
    if claims is None:
        missing.append(
            Missing(
                "claims", "The claims ledger", "not made yet: run `snakemake --cores all claims`"
            )
        )
    questions_path = evaluated / "questions.csv"
    questions = None
    if chosen.questions and questions_path.exists():
        questions = ledger.read_ledger(questions_path)
    elif chosen.questions:
        missing.append(
            Missing(
                "questions",
                "Our own questions",
                "not made yet: run `snakemake --cores all questions`",
            )
        )
    compared = read_compared(compare_path) if compare_path.exists() else None
    if compared is None:
        missing.append(
            Missing(
                "compare",
                "The paper's numbers",
                "not made yet: run `snakemake --cores all compare`",
            )
        )
    measured = {column: source.measured for column, source in chosen.quality.items()}
    tables = read_tables(evaluated, resolved, compared, published, measured)
    missing += [Missing(t.name, t.title, t.missing) for t in tables if t.missing]

    drawn = []
    for name in FIGURES:
        if not re.match(r"figure\d", name) and not set(experiments_of(name)) <= at_scale:
            continue  # not the paper's, and of experiments that other scales have
        path = evaluated / "figures" / f"{name}.png"
        lacks = FIGURES[name].lacks(resolved)
        why = why_missing(name, experiments_of(name), numbers, path, lacks)
        if name in OF_PEOPLE and set(experiments_of(name)) <= set(numbers) and why:
            why = NO_ANSWERS
        figure = None if why else read_figure(name, evaluated)
        if figure is None:
            missing.append(Missing(name, figure_title(name), why))
        else:
            drawn.append(figure)

    steps = read_costs(root, resolved, chosen.device)
    own = steps if sampler == NATIVE else read_costs(evaluated, resolved, chosen.device)
    unknown = {(j.step, j.name): j.problem for s in (*steps, *own) for j in s.jobs if j.problem}
    missing += [
        Missing("costs", f"All that {step} {name} cost", problem)
        for (step, name), problem in unknown.items()
    ]
    return Page(
        scale=chosen,
        seeds=tuple(seeds),
        made=datetime.now(UTC),
        claims=claims,
        questions=questions,
        tables=tables,
        drawn=drawn,
        missing=missing,
        synthetic=read_synthetic(root) if chosen.synthetic else {},
        configurations=[configuration(e, seeds, root, evaluated, steps) for e in resolved],
        steps=own,
        plan=read_plan(root, steps),
        git=provenance.git(),
        packages=provenance.packages(),
        machine=provenance.machine(),
        archive=archive,
        sampler=sampler,
    )


def render(page: Page) -> str:
    """The page as one HTML document that loads nothing; all text is escaped."""
    environment = Environment(
        loader=PackageLoader("pcpo.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "inline": markup.inline,
        "duration": duration,
        "measure": measure,
        "anchor": ledger.anchor,
        "linked": partial(markup.linked, anchors=_anchors(page)),
    }
    environment.filters |= {"grouped": ledger.grouped}
    counts = ledger.counts(ledger.empirical(page.claims or []))
    return environment.get_template("page.html").render(page=page, counts=counts)


def _anchors(page: Page) -> list[str]:
    """Tables and figures that the page has, for links from the claims."""
    return [t.name for t in page.tables if not t.missing] + [f.name for f in page.drawn]
