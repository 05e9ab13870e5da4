"""The preference study: the page for raters, simulated raters, and the analysis of answers.

    python -m pcpo.cli.preference serve --pairs results/demo/study/pairs \\
        --answers results/demo/study/answers.sqlite --contact "Ann Lee, ann@example.org"
    python -m pcpo.cli.preference analyse --answers ... --key results/demo/study/keys
    python -m pcpo.cli.preference simulate --raters 20 40 --win-rate 0.5 0.6

docs/preference.md explains them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcpo.preference.answers import Options, Origin
    from pcpo.preference.simulate import Raters


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _serve_options(commands.add_parser("serve", help="ask people: the web page"))
    _simulate_options(commands.add_parser("simulate", help="power, or a rehearsal without people"))
    analyse = commands.add_parser("analyse", help="print the analysis of the answers")
    analyse.add_argument("--answers", type=Path, required=True, metavar="FILE")
    analyse.add_argument("--key", type=Path, required=True, help="the key, or the folder of keys")
    arguments = parser.parse_args(argv)
    {"serve": _serve, "simulate": _simulate, "analyse": _analyse}[arguments.command](arguments)


def _serve_options(parser: argparse.ArgumentParser) -> None:
    _store_options(parser)
    parser.add_argument("--pairs", type=Path, required=True, help="folder of pairs.json")
    parser.add_argument("--answers", type=Path, required=True, metavar="FILE",
                        help="SQLite file; made if it is not there")  # fmt: skip
    parser.add_argument("--contact", required=True, help="who asks; it ends the consent text")
    parser.add_argument("--consent", type=Path, metavar="FILE", help="another text, in Markdown")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one")
    parser.add_argument("--proxy", default="127.0.0.1",
                        help="addresses of the proxy, which name the raters' own")  # fmt: skip
    parser.add_argument("--sessions-per-hour", type=int, default=30,
                        help="new sessions of one address; more for a laboratory")  # fmt: skip
    parser.add_argument("--no-tls", action="store_true",
                        help="for a trial on this machine: a cookie without TLS")  # fmt: skip


def _store_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=int, default=20, help="pairs of a session")
    parser.add_argument("--checks", type=int, default=2, help="attention checks of a session")
    parser.add_argument("--repeats", type=int, default=1, help="pairs that come twice")
    parser.add_argument("--ties", action="store_true", help="offer 'No difference'")


def _simulate_options(parser: argparse.ArgumentParser) -> None:
    _store_options(parser)
    parser.add_argument("--raters", type=int, nargs="+", default=[20, 40, 80], metavar="N")
    parser.add_argument("--win-rate", type=float, nargs="+", default=[0.5, 0.55, 0.6, 0.65],
                        metavar="SHARE", help="of PCPO, over raters and prompts")  # fmt: skip
    parser.add_argument("--rater-sd", type=float, default=0.5, help="on the logit scale")
    parser.add_argument("--prompt-sd", type=float, default=0.5, help="on the logit scale")
    parser.add_argument("--studies", type=int, default=200, help="simulated for each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=Path, help="rehearse a study with these pairs ...")
    parser.add_argument("--key", type=Path, help="... and their key, or the folder of keys ...")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="... into this new file")


def _serve(arguments: argparse.Namespace) -> None:
    import uvicorn

    from pcpo.cli.console import setup
    from pcpo.preference.answers import Answers
    from pcpo.preference.app import Site, build
    from pcpo.preference.limits import Rate
    from pcpo.preference.pairs import read_pool

    setup()
    if inside := [p for p in arguments.pairs.rglob("*.json") if p.name != "pairs.json"]:
        raise ValueError(f"{inside[0]}: only pairs.json belongs here; move the key away")
    if arguments.sessions_per_hour < 1:
        raise ValueError("--sessions-per-hour: at least 1")
    pool = read_pool(arguments.pairs)
    site = Site(
        contact=arguments.contact,
        consent=arguments.consent.read_text(encoding="utf-8") if arguments.consent else "",
        secure=not arguments.no_tls,
        sessions=Rate(arguments.sessions_per_hour / 3600, arguments.sessions_per_hour),
    )
    answers = Answers(arguments.answers, pool, _options(arguments, "people"))
    try:
        config = uvicorn.Config(
            build(answers, arguments.pairs, site),
            host=arguments.bind,
            port=arguments.port,
            log_level="warning",
            access_log=False,  # addresses are not kept
            server_header=False,
            forwarded_allow_ips=arguments.proxy,
            timeout_keep_alive=15,
            limit_concurrency=1000,
        )
        listener = config.bind_socket()
        raters, given = answers.progress()
        print(
            f"http://{arguments.bind}:{listener.getsockname()[1]} asks about {len(pool.pairs)} "
            f"pairs; {given} questions of {raters} raters are answered in {arguments.answers}",
            flush=True,
        )
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        answers.close()


def _simulate(arguments: argparse.Namespace) -> None:
    from pcpo.preference.simulate import power

    _options(arguments, "simulated")
    given = [arguments.pairs, arguments.key, arguments.answers]
    if any(given):
        if not all(given):
            raise ValueError("a rehearsal needs --pairs, --key and --answers")
        _rehearse(arguments)
        return
    print("raters  win rate  interval above a half  below a half  contains the truth  its width")
    for raters in arguments.raters:
        for win_rate in arguments.win_rate:
            model = _raters(arguments, win_rate)
            found = power(model, raters, arguments.studies, arguments.seed, arguments.questions)
            print(
                f"{found.raters:6}  {found.win_rate:8.3f}  {found.above:21.3f}"
                f"  {found.below:12.3f}  {found.covered:18.3f}  {found.width:9.3f}",
                flush=True,
            )


def _rehearse(arguments: argparse.Namespace) -> None:
    from pcpo.preference.answers import Answers
    from pcpo.preference.pairs import read_key, read_pool
    from pcpo.preference.simulate import rehearse

    if arguments.answers.exists():
        raise ValueError(f"{arguments.answers}: is there already; a rehearsal makes a new file")
    pool = read_pool(arguments.pairs)
    key = read_key(arguments.key, pool.key, pool.digest)
    answers = Answers(arguments.answers, pool, _options(arguments, "simulated"))
    try:
        model = _raters(arguments, arguments.win_rate[-1])
        count = rehearse(answers, key, model, arguments.raters[-1], arguments.seed)
    finally:
        answers.close()
    print(
        f"{arguments.raters[-1]} simulated raters answered {count} questions in "
        f"{arguments.answers}, planted win rate {model.win_rate:g}. They do not count as people."
    )


def _analyse(arguments: argparse.Namespace) -> None:
    from pcpo.preference.frame import read_study
    from pcpo.preference.summary import to_markdown

    print(to_markdown(read_study(arguments.answers, arguments.key)), end="")


def _raters(arguments: argparse.Namespace, win_rate: float) -> Raters:
    from pcpo.preference.simulate import Raters

    if not 0 < win_rate < 1:
        raise ValueError(f"--win-rate {win_rate:g}: between 0 and 1")
    return Raters(win_rate, arguments.rater_sd, arguments.prompt_sd)


def _options(arguments: argparse.Namespace, origin: Origin) -> Options:
    from pcpo.preference.answers import Options
    from pcpo.preference.schedule import Design

    if arguments.questions < 1 or arguments.checks < 0 or arguments.repeats < 0:
        raise ValueError("--questions: at least 1; --checks, --repeats: at least 0")
    design = Design(arguments.questions, arguments.checks, arguments.repeats)
    return Options(design, arguments.ties, origin)


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main)
