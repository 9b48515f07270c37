"""Where the microseconds go: CPU of each stage of a real run, and the functions that cost most, for docs/profile.md.

    python -m benchmarks profile [--rows 20000] [--keep]

One run goes through a stopwatch: the doors of the stages are wrapped, and CPU time is booked to the innermost one that
is open. A second run goes through Python's profiler, on a CPU clock, for the names; its times are inflated, the
shares tell. Run in a process of its own for each, so that start-up can be told too.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import importlib
import io
import json
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import measure, sink
from benchmarks.ours import Setup

DOORS = {
    "load: the list becomes the frozen plan": ["campaign.pipeline.start.choose_run:freeze"],
    "open: plan hashed, inlining checked, journal begun": ["campaign.pipeline.start.choose_run:_open"],
    "draw: the next line of the plan": ["campaign.delivery.queue.backlog:Backlog._fresh"],
    "render: templates": [
        "campaign.compose.template.template:Page.render",
        "campaign.compose.template.template:Page.text",
        "campaign.compose.html.shape_cache:split_static_from_dynamic",
        "campaign.compose.text.text_from_template:split_static_from_dynamic",
    ],
    "inline: shapes found and filled": ["campaign.compose.html.shape_cache:ShapeCache.body"],
    "MIME: encoding of values": [
        "campaign.compose.mime.transfer_encoding:EncodedTemplate.fill",
        "campaign.compose.portion.usual_parts:UsualParts.texts",
        "campaign.compose.portion.usual_parts:UsualParts.bodies",
    ],
    "MIME: headers and assembly": [
        "campaign.compose.mime.letter_headers:LetterHeaders.block",
        "campaign.compose.composer:assembled",
    ],
    "compose: tokens, Message-ID, digest": ["campaign.compose.composer:Composer.compose_all"],
    "sign: DKIM": ["campaign.compose.mime.dkim_signature:Signer.sign"],
    "pace: admission and throttle": [
        "campaign.delivery.queue.admission:Admission.draw_now",
        "campaign.delivery.queue.admission:Admission.take_turn",
        "campaign.delivery.queue.admission:Admission.release",
    ],
    "send: conversation": [
        "campaign.delivery.smtp.mail_transaction:MailTransaction.offer",
        "campaign.delivery.smtp.mail_transaction:MailTransaction.agreed",
        "campaign.delivery.smtp.mail_transaction:MailTransaction.content",
        "campaign.delivery.smtp.mail_transaction:MailTransaction.dot",
        "campaign.delivery.smtp.mail_transaction:for_the_wire",
        "campaign.delivery.smtp.mail_transaction:unfit",
        "campaign.delivery.smtp.reply_parser:ReplyParser.data_received",
        "campaign.delivery.send.reply_handler:ReplyHandler.handle_reply",
    ],
    "send: socket writes": ["asyncio.selector_events:_SelectorSocketTransport.write"],
    "send: socket reads": ["asyncio.selector_events:_SelectorSocketTransport._read_ready"],
    "journal: intent": ["campaign.pipeline.serve.outcome_recorder:LedgerRecorder.intent"],
    "journal: verdict": ["campaign.pipeline.serve.outcome_recorder:LedgerRecorder.verdict"],
    "report: summary, page, exports": ["campaign.pipeline.send:close_run"],
}
REST = "send: workers and event loop"
START = "start: interpreter and imports"


class Stopwatch:
    """Books CPU time of this thread to the innermost open door."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._stack = [REST]
        self._last = time.thread_time()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        clock, stack, seconds, calls = time.thread_time, self._stack, self.seconds, self.calls
        seconds.setdefault(name, 0.0)
        calls.setdefault(name, 0)

        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            now = clock()
            outer = stack[-1]
            seconds[outer] = seconds.get(outer, 0.0) + now - self._last
            self._last = now
            stack.append(name)
            calls[name] += 1
            try:
                return function(*args, **options)
            finally:
                now = clock()
                seconds[name] += now - self._last
                self._last = now
                stack.pop()

        return timed

    def reset(self) -> None:
        self._last = time.thread_time()

    def stop(self) -> None:
        now = time.thread_time()
        self.seconds[REST] = self.seconds.get(REST, 0.0) + now - self._last


def wrap_doors(watch: Stopwatch) -> None:
    """Put the stopwatch before every door."""
    for name, places in DOORS.items():
        for place in places:
            holder, attribute = found(place)
            setattr(holder, attribute, watch.wrap(name, getattr(holder, attribute)))


def found(place: str) -> tuple[Any, str]:
    """The module or class that holds ``module:path``, and the last name of the path."""
    module, _, path = place.partition(":")
    holder: Any = importlib.import_module(module)
    *parents, attribute = path.split(".")
    for parent in parents:
        holder = getattr(holder, parent)
    return holder, attribute


def price_of_a_door() -> float:
    """Seconds that the stopwatch itself adds for one call, as booked outside and inside together."""
    watch, rounds = Stopwatch(), 100_000
    empty = watch.wrap("x", lambda: None)
    began = time.thread_time()
    for _ in range(rounds):
        empty()
    return (time.thread_time() - began) / rounds


def send(file: Path) -> None:
    """What ``campaign send FILE --quiet`` does."""
    from campaign.config import load
    from campaign.pipeline.command_context import Options
    from campaign.pipeline.send import send
    from campaign.report.live.console import Console

    send(load(file), Options(quiet=True), Console(quiet=True))


def stages(file: Path) -> dict[str, Any]:
    """Seconds by stage of one run in this process."""
    import campaign.pipeline.send  # noqa: F401 - part of start-up

    watch = Stopwatch()
    started = time.process_time()
    price = price_of_a_door()
    wrap_doors(watch)
    watch.reset()
    send(file)
    watch.stop()
    net = {name: seconds - watch.calls.get(name, 0) * price / 2 for name, seconds in watch.seconds.items()}
    net[REST] -= sum(watch.calls.values()) * price / 2
    return {"start": started, "seconds": net, "calls": watch.calls}


def functions(file: Path) -> str:
    """The functions that cost most, as a table."""
    import campaign.pipeline.send  # noqa: F401 - not to be profiled

    profile = cProfile.Profile(time.process_time)
    profile.runcall(send, file)
    out = io.StringIO()
    statistics = pstats.Stats(profile, stream=out)
    total: float = statistics.total_tt  # type: ignore[attr-defined]
    rows = sorted(statistics.stats.items(), key=lambda one: -one[1][2])  # type: ignore[attr-defined]
    lines = [
        f"| {_named(place)} | {calls:,} | {own / total:.1%} | {whole / total:.1%} |"
        for place, (_, calls, own, whole, _callers) in rows[:30]
    ]
    return "\n".join(["| function | calls | itself | with what it calls |", "| --- | ---: | ---: | ---: |", *lines])


def _named(place: tuple[str, int, str]) -> str:
    path, _, name = place
    if path == "~":
        return f"`{name.strip('<>')}`"
    parts = Path(path).parts
    for mark in ("campaign", "site-packages", "asyncio"):
        if mark in parts:
            at = len(parts) - 1 - parts[::-1].index(mark) + (mark == "site-packages")
            own = "/".join(parts[at:])
            return f"`{own}` {name}" if mark == "campaign" else f"`{own.removesuffix('.py').replace('/', '.')}` {name}"
    return f"`{Path(path).name}` {name}"


def by_stage(file: Path) -> dict[str, Any]:
    """`stages`, in a process of its own."""
    measured: dict[str, Any] = json.loads(in_child("stages", file))
    return measured


def in_child(what: str, file: Path) -> str:
    """Run one kind of profile in a process of its own and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.profiling", what, str(file)]
    done = subprocess.run(command, cwd=sink.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def table(measured: dict[str, Any], rows: int, core: float) -> str:
    """Microseconds a message by stage; ``core`` scales to the standard core."""
    seconds = {START: measured["start"], **measured["seconds"]}
    order = [START, *DOORS]
    order.insert(order.index("journal: intent"), REST)
    total = sum(seconds.values())
    lines = ["| stage | µs a message | scaled | share |", "| --- | ---: | ---: | ---: |"]
    for name in order:
        spent = seconds.get(name, 0.0)
        if spent:
            micro = spent / rows * 1e6
            lines.append(f"| {name} | {micro:.1f} | {micro * core:.1f} | {spent / total:.1%} |")
    micro = total / rows * 1e6
    lines.append(f"| **together** | **{micro:.1f}** | **{micro * core:.1f}** | |")
    return "\n".join(lines)


def main(arguments: list[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--keep", action="store_true", help="write docs/profile.md")
    options = parser.parse_args(arguments)
    with sink.smtp_sink() as server, tempfile.TemporaryDirectory() as folder:
        file = Setup().lay_out(Path(folder), server.port, options.rows)
        core = measure.STANDARD / measure.hash_microseconds()
        measured = by_stage(file)
        core = (core + measure.STANDARD / measure.hash_microseconds()) / 2
        shutil.rmtree(Path(folder) / "runs")
        names = in_child("functions", file)
    text = page(table(measured, options.rows, core), names, options.rows, core)
    if options.keep:
        (sink.ROOT / "docs" / "profile.md").write_text(text, encoding="utf-8")
    return text


def page(stages_table: str, functions_table: str, rows: int, core: float) -> str:
    where = measure.machine()
    return f"""# Where the microseconds go

Made by `make profile`, which is `python -m benchmarks profile --keep`. {rows:,} rows of the reference message, sent by
`campaign send` in one process to smtp-sink on the same machine. CPU time of the sender, user and system. *Scaled* is
what it would be on a core that hashes 100 kB with SHA-256 in 57 µs; this one took {measure.STANDARD / core:.0f} µs.

Taken on {where["processor"]}, {where["cores"]} cores, {where["system"]}, Python {where["python"]}.

## By stage

CPU is booked to the innermost stage that is open. The price of the stopwatch is taken off.

{stages_table}

## By function

From Python's profiler on a CPU clock, in a run of its own. It makes small functions look dearer than they are.

{functions_table}
"""


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "stages":
        print(json.dumps(stages(Path(sys.argv[2]))))
    elif len(sys.argv) == 3 and sys.argv[1] == "functions":
        print(functions(Path(sys.argv[2])))
    else:
        print(main(sys.argv[1:]))
