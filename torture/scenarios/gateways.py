"""SIGKILL while letters go to an HTTP gateway that breaks as well, resumed until done, and doubts settled."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.support.servers.gateway import KEY, KEY_ID, SECRET

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, Talker, dice
from torture.case import Case
from torture.scenarios.kills import finish
from torture.scene import Scene

SCENARIO = "SIGKILL while an HTTP gateway takes letters"
PEOPLE = 300
BATCH = 6
#: The gateway, connections, what is done about doubts, and the share of requests at which the gateway breaks.
MIXES = (
    ("ses-api", 10, "hold", 0.0), ("mailgun-api", 10, "resend", 0.01), ("sparkpost-api", 20, "hold", 0.02),
    ("ses-api", 20, "resend", 0.02), ("mailgun-api", 1, "hold", 0.0), ("sparkpost-api", 10, "skip", 0.01),
)  # fmt: skip


def cases(kills: int) -> list[Case]:
    """About a fifth of ``kills`` kills in batches, each batch one campaign of 300 recipients."""
    batches = max(round(kills / 5 / BATCH), 1)
    return [
        Case(SCENARIO, f"gateway {at}", until_done, {"mix": MIXES[at % len(MIXES)]}, cost=BATCH * 2.0 + 10)
        for at in range(batches)
    ]


def until_done(bench: Bench, folder: Path, seed: int, tally: Tally, *, mix: tuple[str, int, str, float]) -> None:
    """Kill a few times, audit after each, let the last command finish, settle all doubts, audit again."""
    kind, connections, policy, share = mix
    chance, log = dice(seed, folder.name), folder / "oracle.log"
    gateway = Talker(["torture.gateway", kind, str(log), f"{seed}/{folder.name}", str(share)])
    try:
        greeting = gateway.hear(60.0)
        assert greeting is not None
        scene = _scene(folder, kind, greeting["port"], connections, policy)
        for _ in range(BATCH):
            if not _one_life(bench, scene, tally, chance):
                break
        gateway.tell(do="work")
        assert gateway.hear() is not None
        finish(bench, scene, tally, policy)
    finally:
        gateway.end()


def _scene(folder: Path, kind: str, port: int, connections: int, policy: str) -> Scene:
    user, place = (f"{KEY_ID}@", "/eu-west-1") if kind == "ses-api" else ("", "/example.com")
    scene = Scene(folder, port, range(PEOPLE), connections=connections, in_doubt=policy)
    path = "" if kind == "sparkpost-api" else place
    scene.change("delivery", "relay", f'"{kind}+http://{user}127.0.0.1:{port}{path}"')
    scene.change("delivery", "password_file", '"key"')
    scene.change("delivery", "rate", '"10000/s"')
    key = folder / "key"
    key.write_text(SECRET if kind == "ses-api" else KEY, encoding="utf-8")
    key.chmod(0o600)
    return scene


def _one_life(bench: Bench, scene: Scene, tally: Tally, chance: random.Random) -> bool:
    """One command, killed after some letters; False if it finished before."""
    log = scene.folder / "oracle.log"
    wanted, end = _taken(log) + chance.randrange(1, PEOPLE // BATCH * 2), time.monotonic() + 60.0
    doubts, broke = _doubts(scene), _count(log, b'"is": "broke"')
    sender = bench.start(scene.folder, "send", str(scene.file))
    while _taken(log) < wanted and time.monotonic() < end and sender.alive():
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.004))
    alive = sender.alive()
    sender.kill()
    code = sender.wait()
    tally.number += 1
    tally.kills += alive
    tally.must(code in {-9, 0, 4, 69, 75}, f"exit {code}: {sender.words()[-300:]}")
    audit.no_traceback(tally, sender.words(), sender.said)
    audit.midway(tally, scene)
    new, broken = _doubts(scene) - doubts, _count(log, b'"is": "broke"') - broke
    bound = (scene.connections if alive else 0) + broken
    tally.must(new <= bound, f"{new} new doubts, where {bound} are explained")
    return alive


def _taken(log: Path) -> int:
    return _count(log, b'"is": "took"')


def _count(log: Path, what: bytes) -> int:
    return log.read_bytes().count(what) if log.exists() else 0


def _doubts(scene: Scene) -> int:
    return sum(sum(run.doubts.values()) for run in books.read_runs(scene.runs))
