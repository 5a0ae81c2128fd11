"""The command line: which commands there are, what they take, what their help teaches, and what they end with.

Owns words and options. The work is done by `nearcast/command_*.py` and their like, which are imported only when their
command is called: `nearcast --help` must not wait for what it does not use.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engine.ports import StoreError
from geo.mistake import MistakesError
from geo.uncollected import collect_seldom, uncollected
from nearcast.fault import ExitCode, InputFaultError, NotNowFaultError, UsageFaultError

app = typer.Typer(
    name="nearcast",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Site = Annotated[Path, typer.Argument(metavar="SITE", help="The folder of the site.")]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_debug = False


def main() -> NoReturn:
    """Run the command line and leave with its exit code: 0 good, 1 input at fault, 2 command line, 3 our own fault."""
    code: int | None = ExitCode.GOOD
    _print_what_it_can(sys.stdout, sys.stderr)
    collect_seldom()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy has threads made at its import, for what we never do
    try:
        code = app(prog_name="nearcast", standalone_mode=False)
        sys.stdout.flush()  # what cannot be written is told now, or nobody hears of it
    except typer.TyperException as error:
        _usage(error)
    except (InputFaultError, MistakesError, StoreError) as error:
        _leave(ExitCode.INPUT, str(error))
    except UsageFaultError as error:
        _leave(ExitCode.USAGE, str(error))
    except NotNowFaultError as error:
        _leave(ExitCode.OURS, str(error))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(ExitCode.STOPPED)
    except OSError as error:
        _unwritten(error)
    except Exception as error:  # noqa: BLE001 - the one place where our own bugs end
        _ours(error)
    sys.exit(code or ExitCode.GOOD)


def _print_what_it_can(*outs: object) -> None:
    """What a terminal has no letters for is written as its number: a name in it must not end the command."""
    for out in outs:
        if isinstance(out, TextIOWrapper):
            out.reconfigure(errors="backslashreplace")


def _unwritten(error: OSError) -> NoReturn:
    """What an error of the system ends with: the output is at fault when it takes no more, else we are."""
    if error.errno not in (errno.EPIPE, *_FULL):
        _ours(error)
    with suppress(OSError):  # what is still to be printed would fail once more at the very end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:  # whoever read it has seen enough
        sys.exit(ExitCode.INPUT)
    what = "the output" if error.filename is None else f"`{error.filename}`"
    _leave(ExitCode.INPUT, f"{what} cannot be written: {error.strerror}, make room or write elsewhere")


def _ours(error: Exception) -> NoReturn:
    """Where our own fault came from: in one line, or all of it with `--debug`."""
    if _debug:
        traceback.print_exception(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    hint = "" if _debug else ", run it as `nearcast --debug ...` to see where it came from, and report that"
    kind = type(error).__name__
    _leave(ExitCode.OURS, f"a fault of ours: {kind} at {Path(where.filename).name}:{where.lineno}: {error}{hint}")


def _usage(error: typer.TyperException) -> NoReturn:
    """What is wrong with the command line, in one line, and where its help is."""
    context = getattr(error, "ctx", None)
    path = "nearcast" if context is None else context.command_path
    message = error.format_message()
    if not message:  # no word at all was given: the help has been printed instead
        sys.exit(ExitCode.USAGE)
    _leave(ExitCode.USAGE, f"{message[:1].lower()}{message[1:].rstrip('.')}, see `{path} --help`")


def _leave(code: ExitCode, message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(code)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"nearcast {version('nearcast')}")
        raise typer.Exit


@app.callback()
def _top(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a fault of ours.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The right message, to the right person, at the right place and minute.

    Begin with `nearcast demo`. Then make a folder, write `fences/` and `rules/`, and go round: `nearcast check SITE`,
    `nearcast replay SITE yesterday.jsonl`, `nearcast run SITE`, `nearcast explain SITE --user U`.
    """
    global _debug
    _debug = debug


@app.command()
def run(
    site: Site,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Listen here, whatever nearcast.yaml says.")
    ] = None,
) -> None:
    """Run a site: ingest, engine, delivery and metrics in one process.

    State is one SQLite file in the site's `var/`; no other server is needed. Edits of the site's files are taken up
    while it runs; bad ones are named in the log and change nothing. Ctrl-C ends it in good order.

    Example: `nearcast run mysite`, then

    `curl -d '{"device":"d-1","time":1795593600000,"lat":35.6909,"lng":139.7003}' localhost:8080/v1/pings`
    """
    with uncollected():  # `run` has the collector look as usual once it is ready
        from nearcast.replay_options import RunOptions
        from nearcast.run import run as run_site

        raise typer.Exit(run_site(site, options=RunOptions(listen=listen)))


@app.command()
def demo(
    crowd: Annotated[int, typer.Option(min=1, max=100_000, help="How many people walk about.")] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same crowd.")] = 1,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Listen here.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so long; else on Ctrl-C.")] = None,
) -> None:
    """See it work: Tokyo, a simulated crowd, a Wednesday at 16:59:30.

    Half a minute later the time sale opens, and pushes are seen in the terminal. Nothing is kept afterwards.

    Example: `nearcast demo --crowd 5000`
    """
    from nearcast.demo import demo as show
    from nearcast.replay_options import DemoOptions

    raise typer.Exit(show(DemoOptions(crowd=crowd, seed=seed, listen=listen, seconds=seconds)))


@app.command()
def check(
    site: Site,
    format: Annotated[str, typer.Option(metavar="text|json", help="How to print what was found.")] = "text",
) -> None:
    """Lint everything in a site, and run its rules' own tests.

    Prints one line a mistake, `file:line:column: what is wrong, what came, how to mend it`, all at once, and ends with
    1 if there is any. Nothing is written, no server is needed: made for editors and for CI.

    Examples: `nearcast check mysite`, `nearcast check mysite --format json | jq '.mistakes[].file'`
    """
    from nearcast.command_check import check_site

    if format not in ("text", "json"):
        raise typer.BadParameter(f"`{format}` is no format, use `text` or `json`", param_hint="--format")
    raise typer.Exit(check_site(site, as_json=format == "json"))


@app.command()
def schema(
    part: Annotated[
        str, typer.Argument(metavar="[rules|settings|beacons|templates]", help="Of which files.")
    ] = "rules",
) -> None:
    """Print a JSON Schema, so that an editor can complete and check the site's YAML.

    Example: `nearcast schema rules > rules.schema.json`, and as the first line of a rule file
    `# yaml-language-server: $schema=../rules.schema.json`
    """
    from nearcast.schema import SCHEMAS, schema_text

    if part not in SCHEMAS:
        raise typer.BadParameter(f"`{part}` has no schema, use one of {', '.join(SCHEMAS)}", param_hint="PART")
    typer.echo(schema_text(part))


@app.command()
def replay(
    site: Site,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="Recordings, in order.")] = None,
    from_store: Annotated[bool, typer.Option("--from-store", help="Replay the site's own store.")] = False,
    device: Annotated[str | None, typer.Option(help="The device of files that name none, such as GPX.")] = None,
    users: Annotated[Path | None, typer.Option(metavar="F", help="Load users first: JSONL.")] = None,
    assume_consent: Annotated[
        bool, typer.Option("--assume-consent", help="Take missing consent as given, and say so.")
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Work everything in order of time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    decisions: Annotated[Path | None, typer.Option(metavar="F", help="Write each decision: JSONL.")] = None,
    transitions: Annotated[Path | None, typer.Option(metavar="F", help="Write each transition: JSONL.")] = None,
) -> None:
    """Try a site on recorded pings: what would have been sent, what not, and why. Sends nothing.

    Recordings are JSONL (lines as posted: pings, sightings, events, users), CSV with the same names as header, GPX,
    or OwnTracks `.rec`, each also as `.gz`. The clock is the recording's.

    Examples: `nearcast replay mysite monday.jsonl`, `nearcast replay mysite walk.gpx --device me --assume-consent`,
    `nearcast replay mysite --from-store --json`
    """
    from nearcast.replay import replay as replay_site
    from nearcast.replay_options import ReplayOptions

    if bool(files) == from_store:
        raise typer.BadParameter("give recordings, or `--from-store` alone", param_hint="FILE...")
    options = ReplayOptions(
        files=tuple(files or ()),
        from_store=from_store,
        device=device,
        users=users,
        assume_consent=assume_consent,
        sort=sort,
        as_json=as_json,
        decisions=decisions,
        transitions=transitions,
    )
    replay_site(site, options)


@app.command()
def explain(
    site: Site,
    user: Annotated[str, typer.Option(metavar="U", help="Whose decisions.")],
    rule: Annotated[str | None, typer.Option(metavar="R", help="Of this rule only.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="From then on: `2h`, `7d`, or 2026-11-25T17:00+09:00.")
    ] = None,
    from_store: Annotated[
        bool, typer.Option("--from-store", help="Ask the store of `run`, also where the settings name a cluster.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Why did this person get, or not get, a message? Asks what is kept, also while the site runs.

    Where nearcast.yaml names a `cluster` that has begun, that is its Redis; else the store of `run`.

    Shows each kept decision, newest last: the reason in words, the clause that failed, the values that were seen.

    Examples: `nearcast explain mysite --user u-7`, `nearcast explain mysite --user u-7 --rule timesale --since 2h`
    """
    from nearcast.command_explain import ExplainQuery, explain_user

    query = ExplainQuery(user=user, rule=rule, since=since, from_store=from_store, as_json=as_json)
    raise typer.Exit(explain_user(site, query))


@app.command()
def send(
    site: Site,
    rule: Annotated[str, typer.Option(metavar="R", help="Whose message.")],
    user: Annotated[str, typer.Option(metavar="U", help="To whom: one of `test_users`.")],
) -> None:
    """Send the message of a rule to a test user, through the real channel.

    To see on a real phone what it looks like. Who is not listed under `test_users` in nearcast.yaml is refused.

    Example: `nearcast send mysite --rule timesale --user me`
    """
    from nearcast.command_send import send_test

    raise typer.Exit(send_test(site, rule=rule, user=user))


@app.command()
def backup(
    site: Site,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy to write; it must not be there yet.")],
) -> None:
    """Copy the store, whole and consistent, while the site runs.

    Example: `nearcast backup mysite /backups/mysite-$(date +%F).db`
    """
    from nearcast.command_backup import back_up

    raise typer.Exit(back_up(site, file))


Listen = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Listen here.")]
Instance = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A name of its own, so that a restart within the session moves nothing."),
]


@app.command()
def gateway(site: Site, listen: Listen = None) -> None:
    """The scaled-out form: take pings over HTTP and write them to Kafka. Any number behind a balancer.

    Needs Kafka and Redis, named under `cluster` in nearcast.yaml. It keeps nothing itself.

    Example: `nearcast gateway mysite --listen 0.0.0.0:8080`
    """
    from nearcast.cluster import RoleOptions
    from nearcast.gateway import serve

    raise typer.Exit(serve(site, RoleOptions(listen=listen)))


@app.command()
def worker(
    site: Site,
    listen: Listen = None,
    instance: Instance = None,
    create_topics: Annotated[
        bool, typer.Option("--create-topics", help="Make the topics that are missing, and end.")
    ] = False,
) -> None:
    """The scaled-out form: fold the pings of the shards that are given to it. Any number, up to the shards.

    `--listen` (127.0.0.1:8081) serves metrics and health only.

    Example: `nearcast worker mysite --create-topics`, then `nearcast worker mysite --instance worker-1`
    """
    from nearcast.cluster import RoleOptions
    from nearcast.worker import create_topics as make
    from nearcast.worker import work

    if create_topics:
        made = make(site)
        typer.echo("\n".join(f"made {topic}" for topic in made) or "all topics are there", err=True)
        raise typer.Exit
    raise typer.Exit(work(site, RoleOptions(listen=listen, instance=instance)))


@app.command()
def dispatcher(site: Site, listen: Listen = None, instance: Instance = None) -> None:
    """The scaled-out form: hand the messages that workers decided on to their channels. Any number.

    `--listen` (127.0.0.1:8082) serves metrics and health only.

    Example: `nearcast dispatcher mysite --instance dispatcher-1`
    """
    from nearcast.cluster import RoleOptions
    from nearcast.dispatcher import dispatch

    raise typer.Exit(dispatch(site, RoleOptions(listen=listen, instance=instance)))


@app.command()
def move(
    site: Site,
    to: Annotated[str, typer.Option(metavar="cluster|run", help="Where to.")],
) -> None:
    """Carry the state of `run` into the scaled-out form, or back.

    Devices with their presence, users, limits, decisions and pending messages are moved, and ids go on as they would
    have. What runs must have ended; where it goes to must be new; where it comes from stays as it was.

    Example: `nearcast worker mysite --create-topics`, then `nearcast move mysite --to cluster`
    """
    from nearcast.command_move import move_state

    if to not in ("cluster", "run"):
        raise typer.BadParameter(f"`{to}` is no form to move to, use `cluster` or `run`", param_hint="--to")
    raise typer.Exit(move_state(site, to_cluster=to == "cluster"))


@app.command()
def crowd(
    site: Site,
    to: Annotated[str, typer.Option(metavar="URL", help="Where it posts.")] = "http://127.0.0.1:8080",
    key: Annotated[
        str | None, typer.Option(metavar="K", envvar="NEARCAST_ADMIN_KEY", help="An admin key, where there are keys.")
    ] = None,
    crowd: Annotated[int, typer.Option(min=1, max=100_000, help="How many people walk about.")] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same crowd.")] = 1,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="End by itself after so long.")] = None,
) -> None:
    """Post the demo's crowd to a site that runs elsewhere, at the machine's own time.

    To try a deployment: the users are told, then each phone posts as real ones do, and again where the answer says so.
    SITE is where the crowd walks: examples/tokyo or a copy of it.

    Example: `nearcast crowd examples/tokyo --to http://127.0.0.1:8080 --crowd 500`
    """
    from nearcast.command_crowd import CrowdOptions, post_crowd

    raise typer.Exit(post_crowd(site, CrowdOptions(to=to, key=key, crowd=crowd, seed=seed, seconds=seconds)))


@app.command()
def warm() -> None:
    """Compile the fast parts now, so that the first start is quick. For image builds.

    Example, in a Dockerfile: `RUN nearcast warm`
    """
    from nearcast.kernels import warm_with

    warm_with(lambda line: typer.echo(line, err=True))
