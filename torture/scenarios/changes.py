"""What changes between two commands: refused by name where it shapes letters, obeyed where it is an unsubscribe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench
from torture.case import Case
from torture.scene import Scene, address

PEOPLE = 30


def _text(scene: Scene) -> None:
    scene.text += "one more line\n"


def _html(scene: Scene) -> None:
    (scene.folder / "letter.html.j2").write_text("<p>Hello {{ name }}</p>", encoding="utf-8")


def _picture(scene: Scene) -> None:
    path = scene.folder / "dot.png"
    path.write_bytes(path.read_bytes() + b"\0")


def _subject(scene: Scene) -> None:
    scene.change("compose", "subject", '"Another {{ number }} for {{ name }}"')


def _sender(scene: Scene) -> None:
    scene.change("campaign", "from", '"Somebody <else@example.com>"')


def _secret(scene: Scene) -> None:
    secret = scene.folder / "campaign.secret"
    secret.write_text("0123456789abcdef" * 4 + "\n", encoding="utf-8")
    secret.chmod(0o600)


def _reply_to(scene: Scene) -> None:
    scene.change("campaign", "reply_to", '"desk@example.com"')


#: What is changed, and a word of it that the refusal must name.
REFUSED: dict[str, tuple[Callable[[Scene], None], str]] = {
    "text template": (_text, "letter.txt.j2"), "html template": (_html, "letter.html.j2"),
    "picture": (_picture, "dot.png"),
    "subject": (_subject, "compose.subject"), "sender": (_sender, "campaign.from"), "secret": (_secret, "secret"),
    "reply_to": (_reply_to, "campaign.reply_to"),
}  # fmt: skip
OTHERS = ("plan", "list", "connections", "suppression", "journal", "other campaign", "newer version", "journal gone")


def cases(_kills: int) -> list[Case]:
    """Each change once."""
    refused = [
        Case("template, list, config, suppression changed between runs", f"change {what}", shaping, {"what": what})
        for what in REFUSED
    ]
    others = [
        Case("template, list, config, suppression changed between runs", f"change {what}", other, {"what": what})
        for what in OTHERS
    ]
    return refused + others


def _killed(bench: Bench, folder: Path, **more: object) -> Scene:
    """A run killed at its tenth dot."""
    scene = Scene(folder, bench.port, range(PEOPLE), connections=1, html=True, **more).write()  # type: ignore[arg-type]
    bench.scene(folder)
    bench.bear(folder, "send", str(scene.file), point="verdict after", nth=10).wait()
    bench.settled()
    return scene


def shaping(bench: Bench, folder: Path, _seed: int, tally: Tally, *, what: str) -> None:
    """Refused with 78 and by name, and nothing sent; undone or with ``--accept-changes`` it goes on."""
    change, name = REFUSED[what]
    scene = _killed(bench, folder)
    kept = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    change(scene)
    if what == "text template":
        scene.write()
    taken = bench.counters()[2]
    sender = bench.bear(folder, "send", str(scene.file))
    code, words = sender.wait(), sender.words()
    tally.number += 1
    tally.must(
        code == 78 and name in words, f"{what}: exit {code}, and {name!r} {'is' if name in words else 'is not'} named"
    )
    tally.must(bench.counters()[2] == taken, f"{what}: letters were sent all the same")
    audit.no_traceback(tally, words, sender.said)
    if what in {"secret", "picture", "html template"}:
        for path, data in kept.items():
            if path.suffix not in {".log", ".txt"}:
                path.write_bytes(data)
        sender = bench.bear(folder, "send", str(scene.file))
    else:
        sender = bench.bear(folder, "send", str(scene.file), "--accept-changes")
    tally.must(sender.wait() == 0, f"{what}: then it exited {sender.code}: {sender.words()[-300:]}")
    audit.closing(tally, scene)


def other(bench: Bench, folder: Path, seed: int, tally: Tally, *, what: str) -> None:
    """Changes with an answer of their own."""
    scene = _killed(bench, folder)
    run = next(scene.runs.glob("*/checkpoint.journal")).parent
    wanted, arguments, named = _change(scene, run, what)
    sender = bench.bear(folder, "send", str(scene.file), *arguments)
    code, words = sender.wait(), sender.words()
    tally.number += 1
    tally.must(code == wanted and named in words, f"{what}: exit {code}, not {wanted} naming {named!r}: {words[-300:]}")
    audit.no_traceback(tally, words, sender.said)
    if wanted == 0:
        audit.closing(tally, scene, unserved=PEOPLE)
        oracle = books.read_oracle(folder / "oracle.log")
        late = [address(n) for n in range(20, 26)]
        if what == "suppression":
            tally.must(not set(late) & set(oracle.taken), "somebody who had unsubscribed meanwhile got a letter")
            tally.must(oracle.copies == PEOPLE - len(late), f"{oracle.copies} letters, {PEOPLE - len(late)} expected")
        else:
            tally.must(oracle.copies == PEOPLE, f"{oracle.copies} letters, {PEOPLE} expected")
    else:
        tally.must(books.read_oracle(folder / "oracle.log").copies == 10, f"{what}: letters were sent all the same")
    del seed


def _change(scene: Scene, run: Path, what: str) -> tuple[int, tuple[str, ...], str]:
    """Make the change; the exit code to expect, options, and a word that must be said."""
    journal, plan = run / "checkpoint.journal", run / "plan.jsonl"
    match what:
        case "plan":
            plan.write_bytes(plan.read_bytes().replace(address(25).encode(), b"somebody.else@example.com"))
            return 78, (), "plan.jsonl"
        case "list":
            # The list of a run is its frozen plan: the source may change, grow or go.
            (scene.folder / "list.csv").write_text("email,name,number\nnobody@example.com,N,1\n", encoding="utf-8")
            return 0, (), "continuing"
        case "connections":
            scene.change("delivery", "connections", "7")
            return 0, (), "continuing"
        case "suppression":
            scene.suppressed = range(20, 26)
            scene.write()
            return 0, (), "continuing"
        case "journal":
            data = bytearray(journal.read_bytes())
            data[len(data) // 2] ^= 0x20
            journal.write_bytes(bytes(data))
            return 74, (), "repair"
        case "other campaign":
            foreign = scene.folder / "runs" / "torture" / "elsewhere"
            return 78, ("--run", str(foreign)), "--run"
        case "newer version":
            _rewrite_first(journal, b'"trace":', b'"version":99,"trace":')
            return 74, (), "checkpoint.journal"
        case _:
            journal.unlink()
            return 74, (), "checkpoint.journal"


def _rewrite_first(journal: Path, old: bytes, new: bytes) -> None:
    import zlib

    first, _, rest = journal.read_bytes().partition(b"\n")
    body = first[9:].replace(old, new, 1)
    journal.write_bytes(b"%08x %b\n" % (zlib.crc32(body), body) + rest)
