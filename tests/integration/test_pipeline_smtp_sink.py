"""The whole pipeline against Postfix's own test server, which knows nothing of us."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from campaign.config import Settings, load
from campaign.exit_codes import ExitCode
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Intent, VerdictRecord
from campaign.pipeline.command_context import Options
from campaign.pipeline.send import send
from campaign.report.live.console import Console

ROOT = Path(__file__).parents[2]
SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
Start = Callable[..., str]

pytestmark = pytest.mark.skipif(
    SINK is None and not os.environ.get("CAMPAIGN_CI"), reason="smtp-sink is not here: apt-get install postfix"
)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Start]:
    """Starts smtp-sink with further options and returns its URL; what it takes is dumped below ``tmp_path/taken``."""
    assert SINK, "CAMPAIGN_CI=1 demands smtp-sink: apt-get install postfix"
    taken = tmp_path / "taken"
    taken.mkdir()
    taken.chmod(0o777)
    begun: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> str:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        place = ["-u", "postfix", "-R", str(taken), "-d", "m."] if os.geteuid() == 0 else ["-d", f"{taken}/m."]
        begun.append(subprocess.Popen([SINK, *place, *options, f"127.0.0.1:{port}", "100"]))
        deadline = time.monotonic() + 10
        while not listening(port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return f"smtp://127.0.0.1:{port}"

    yield start
    for process in begun:
        process.terminate()
        process.wait(10)


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def newsletter(place: Path) -> Settings:
    """The sample newsletter at full speed, runs and secret in ``place``; soon tired of a relay that takes nothing."""
    return load(
        ROOT / "sample_data" / "newsletter.toml",
        {
            "CAMPAIGN__LEDGER__DIRECTORY": str(place / "runs"),
            "CAMPAIGN__CAMPAIGN__SECRET_FILE": str(place / "campaign.secret"),
            "CAMPAIGN__DELIVERY__RATE": "[]",
            "CAMPAIGN__DELIVERY__STOP_CONNECTIONS": "2",
        },
    )


def run(settings: Settings, options: Options) -> tuple[ExitCode, str]:
    console = Console(stream=io.StringIO())
    code = send(settings, options, console)
    assert isinstance(console.stream, io.StringIO)
    return code, console.stream.getvalue()


def records(place: Path) -> tuple[dict[int, str], dict[int, VerdictRecord]]:
    """The digests that were announced before each dot, and the last verdicts."""
    intents: dict[int, str] = {}
    verdicts: dict[int, VerdictRecord] = {}
    path = next(place.glob("runs/gazette/2026-12/*/checkpoint.journal"))
    for record in journal_reader.read_records(path, journal_reader.Reading()):
        if isinstance(record, Intent):
            intents[record.number] = record.sha256
        elif isinstance(record, VerdictRecord):
            verdicts[record.number] = record
    return intents, verdicts


def dumped(place: Path) -> list[tuple[str, bytes]]:
    """Envelope recipient and letter of each transaction, without the lines that the sink adds."""
    found = []
    for path in (place / "taken").iterdir():
        head, _, rest = path.read_bytes().partition(b"\nReceived: ")
        letter = b"\n".join(rest.split(b"\n")[3:])
        recipient = next(line for line in head.split(b"\n") if line.startswith(b"X-Rcpt-Args: "))
        found.append((recipient[14:-1].decode(), letter.removesuffix(b"\n").replace(b"\n", b"\r\n")))
    return found


@pytest.mark.parametrize("options", [(), ("-p",), ("-e",)], ids=["pipelined", "step by step", "HELO alone"])
def test_every_letter_arrives_once_with_the_bytes_that_the_journal_announced(
    sink: Start, tmp_path: Path, options: tuple[str, ...]
) -> None:
    url = sink(*options)
    code, talk = run(newsletter(tmp_path), Options(relay=url))
    assert code is ExitCode.SOME_FAILED, talk  # one row makes no letter, three need SMTPUTF8, which the sink lacks
    intents, verdicts = records(tmp_path)
    arrived = dumped(tmp_path)
    accepted = {number for number, one in verdicts.items() if one.verdict == "accepted"}
    assert len(arrived) == len(accepted) > 900
    assert max(Counter(to for to, _ in arrived).values()) == 1
    assert sorted(hashlib.sha256(letter).hexdigest() for _, letter in arrived) == sorted(intents[n] for n in accepted)
    failed = Counter(one.verdict for one in verdicts.values() if one.verdict != "accepted")
    assert failed == {"rejected": 3, "unrenderable": 1}
    assert all("SMTPUTF8" in one.reason for one in verdicts.values() if one.verdict == "rejected")


def test_a_server_that_hangs_up_after_the_dot_leaves_doubts_and_nobody_twice(sink: Start, tmp_path: Path) -> None:
    url = sink("-q", ".")
    code, talk = run(newsletter(tmp_path), Options(relay=url))
    assert code is ExitCode.NO_RELAY, talk
    _, verdicts = records(tmp_path)
    doubtful = [one.number for one in verdicts.values() if one.verdict == "in_doubt"]
    assert 1 <= len(doubtful) <= 20
    assert {one.verdict for one in verdicts.values()} <= {"in_doubt", "unrenderable"}
    second = sink()
    code, talk = run(newsletter(tmp_path), Options(relay=second))
    assert code is ExitCode.IN_DOUBT, talk
    assert f"{len(doubtful)} in doubt" in talk
    _, verdicts = records(tmp_path)
    assert {number for number, one in verdicts.items() if one.verdict == "in_doubt"} == set(doubtful)
    assert max(Counter(to for to, _ in dumped(tmp_path)).values()) == 1


def test_a_server_that_puts_everybody_off_keeps_them_for_a_later_pass(sink: Start, tmp_path: Path) -> None:
    url = sink("-r", "RCPT", "-b", "450 4.2.0 not now")
    settings = newsletter(tmp_path)
    code, talk = run(settings, Options(relay=url, max_duration=2.0))
    assert code in {ExitCode.UNFINISHED, ExitCode.NO_RELAY}, talk
    _, verdicts = records(tmp_path)
    assert "deferred" in {one.verdict for one in verdicts.values()}
    assert not {one.verdict for one in verdicts.values()} & {"in_doubt", "accepted"}
    assert all("SMTPUTF8" in one.reason for one in verdicts.values() if one.verdict == "rejected")
    assert all(one.not_before > one.at for one in verdicts.values() if one.verdict == "deferred")


def test_a_relay_of_several_is_left_for_the_next_when_it_turns_us_away(sink: Start, tmp_path: Path) -> None:
    closed, open_ = sink("-f", "CONNECT"), sink()
    settings = newsletter(tmp_path)
    delivery = settings.delivery.model_copy(update={"relay": (closed, open_)})
    code, talk = run(settings.model_copy(update={"delivery": delivery}), replace(Options(), limit=50))
    assert code is ExitCode.UNFINISHED, talk
    assert len(dumped(tmp_path)) >= 45
