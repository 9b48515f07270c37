"""The server breaks at each of fourteen stages, in five ways, three times in a run; and refuses some for a while."""

from __future__ import annotations

from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench
from torture.case import Case
from torture.misdeeds import KINDS, STAGES
from torture.scene import Scene

PEOPLE = 24
TIMES = 3
#: Stages after which a letter can be in doubt: its dot is out and no reply came.
PAST_THE_DOT = frozenset({"dot", "reply"})
#: Stages before or outside a session with letters in it.
OPENING = frozenset({"connect", "banner", "ehlo", "tls", "auth"})
#: The time limit that ends a stall at each stage; all others stay long enough for a busy machine.
LIMITS = {
    "connect": "banner", "banner": "banner", "ehlo": "ehlo", "tls": "ehlo", "auth": "auth", "mail": "mail",
    "rcpt": "rcpt", "data": "data", "354": "content", "content": "content", "dot": "dot", "reply": "dot",
    "between": "mail", "quit": "quit",
}  # fmt: skip
#: Octets of an attachment that does not fit into the buffers between us and an oracle that stopped reading: while it
#: is on its way the dot cannot be out yet.
LARGE = 4_000_000


def cases(kills: int) -> list[Case]:
    """Every pair of stage and kind, and a relay that puts people off and refuses some."""
    times = max(TIMES * kills // 200, 1)
    pairs = [
        Case("the server breaks at each of 14 stages", f"server {stage} {kind}", breaking,
             {"stage": stage, "kind": kind, "times": times}, cost=4.0 + 4.0 * (kind == "stall"))
        for stage in STAGES for kind in KINDS
    ]  # fmt: skip
    return [*pairs, Case("the server puts off and refuses", "server replies", refusing, cost=3.0)]


def breaking(bench: Bench, folder: Path, _seed: int, tally: Tally, *, stage: str, kind: str, times: int) -> None:
    """One run during which the misdeed happens ``times`` times, spread out; run again until done."""
    secure = stage in {"tls", "auth"}
    huge = stage in {"354", "content"}
    scene = Scene(folder, bench.port, range(PEOPLE // 2 if huge else PEOPLE), connections=2)
    scene.settings["delivery"] = _delivery(bench, stage, kind, secure)
    if huge:
        folder.joinpath("large.bin").write_bytes(bytes(LARGE))
        scene.settings["compose"] = {"attachments": '["large.bin"]'}
    scene.write()
    misdeed = {"stage": stage, "kind": kind, "times": times, **_occasions(stage)}
    bench.scene(folder, misdeeds=[misdeed], starttls=secure, auth=secure, delay=(0.0, 0.002))
    codes = _until_done(bench, scene, tally)
    struck = sum(bench.struck().values())
    tally.number += struck
    tally.must(struck > 0, f"the server never broke at {stage}")
    _judge(tally, scene, stage, kind, struck, codes)
    audit.closing(tally, scene)


def _delivery(bench: Bench, stage: str, kind: str, secure: bool) -> dict[str, str]:
    delivery = {"attempts": "2", "relay_patience": '"60s"', "stop_connections": "50"}
    if kind in {"stall", "garbage"}:
        delivery["timeouts"] = f'{{ {LIMITS[stage]} = "1.5s" }}'
    if stage in OPENING | {"quit"}:
        delivery["letters_per_connection"] = "4"  # so that there is more than one opening
    if secure:
        delivery["relay"] = f'"smtp://torture@127.0.0.1:{bench.port}"'
        delivery["tls_ca_file"] = f'"{bench.certificate[1]}"'
    return delivery


def _occasions(stage: str) -> dict[str, int]:
    """When it happens: for openings at the third and every second after it, so that the relay has worked before."""
    if stage in OPENING | {"quit"}:
        return {"first": 2, "every": 2}
    return {"first": 2, "every": 3} if stage in {"354", "content"} else {"first": 5, "every": 7}


def _until_done(bench: Bench, scene: Scene, tally: Tally) -> list[int]:
    codes: list[int] = []
    while len(codes) < 4 and (not codes or codes[-1] in {69, 75}):
        sender = bench.bear(
            scene.folder, "send", str(scene.file), environment={"CAMPAIGN_RELAY_PASSWORD": "not-a-secret-in-torture"}
        )
        codes.append(sender.wait())
        audit.no_traceback(tally, sender.words(), sender.said)
        audit.midway(tally, scene)
    return codes


def _judge(tally: Tally, scene: Scene, stage: str, kind: str, struck: int, codes: list[int]) -> None:
    runs = books.read_runs(scene.runs)
    doubts = sum(len(run.doubts) for run in runs)
    clean = stage not in PAST_THE_DOT or (stage, kind) == ("dot", "421")
    tally.must(doubts == (0 if clean else struck), f"{doubts} in doubt after {struck} times {kind} at {stage}")
    tally.must(codes[-1] == (4 if doubts else 0), f"exit codes {codes} with {doubts} in doubt")
    tally.notes["exit 69 or 75 before the end"] += len(codes) - 1
    for run in runs:
        for record in run.records:
            blamed = record["is"] == "verdict" and record.get("code") == 421 and record.get("counted", True)
            tally.must(not blamed, f"a 421 was counted against a recipient: {record}")
            tally.must(
                record["is"] != "verdict" or record["verdict"] != "rejected",
                f"somebody was rejected for {kind} at {stage}",
            )


def refusing(bench: Bench, folder: Path, seed: int, tally: Tally) -> None:
    """Some are put off once or twice, one for ever, some refused for good; each ends in one verdict."""
    from torture.scene import address

    scene = Scene(folder, bench.port, range(40), connections=4)
    scene.settings["delivery"] = {"attempts": "3", "stop_share": "1.0"}
    scene.write()
    # Without enhanced codes, which would ask for minutes of patience.
    later, never = "450 try later", "550 5.1.1 no such user"
    replies = {
        "rcpt": {
            **{address(n): [later] for n in range(8)}, **{address(n): [later, later] for n in range(8, 12)},
            address(12): [later] * 9, **{address(n): [never] for n in range(13, 17)},
        },
        "dot": {**{address(n): ["451 not now"] for n in range(17, 22)}, address(22): ["554 5.6.0 not this one"]},
    }  # fmt: skip
    bench.scene(folder, replies=replies, seed=seed)
    sender = bench.bear(folder, "send", str(scene.file))
    code = sender.wait()
    audit.no_traceback(tally, sender.words(), sender.said)
    tally.number += 1
    run = books.read_runs(scene.runs)[-1]
    tally.must(code == 3, f"exit {code}, not 3: {sender.words()[-300:]}")
    wanted = {"accepted": 34, "rejected": 6}
    tally.must(run.tally() == wanted, f"{run.tally()}, not {wanted}")
    audit.closing(tally, scene, unserved=6)
