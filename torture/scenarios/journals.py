"""The journal of 200 records, truncated at every byte and with every byte flipped, opened in this process.

One into which shards were being merged is cut within the merges, with the shards still there.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case

RECORDS = 200
PEOPLE = 100
SLICES = 4
#: Every so many octets the journal is opened as `send` opens it (locked, cut, marked), not only read.
OPENED = 37
#: Recipients of the run whose shards are merged, and of a shard.
MERGED, SHARD = 40, 8
#: So many times each is cut, anywhere in the merges.
CUTS = 100


def cases(_kills: int) -> list[Case]:
    """All bytes, in slices."""
    return [
        Case(f"the journal {what}", f"journal {what} {at}", act, {"at": at}, cost=25.0)
        for what, act in (("truncated at every byte", truncated), ("with every byte flipped", flipped))
        for at in range(SLICES)
    ] + [Case("a merge cut off anywhere", f"merges cut {at}", merges_cut, {"at": at}, cost=15.0) for at in range(2)]


def write_journal(folder: Path, chance: random.Random) -> bytes:
    """A run of 100 recipients written by the product itself: 200 records, some deferred, rejected, in doubt."""
    from campaign.ledger import checkpoint
    from campaign.ledger.journal.journal_records import Opened
    from campaign.model import Letter, Outcome, Verdict

    opened = Opened("torture", "e1", "run", 1, PEOPLE, "0" * 64, {"compose.subject": "x"}, "shape", 1.0, "trace")
    checkpoint.create(folder, opened)
    book = checkpoint.Checkpoint(folder)
    book.begin_pass()
    number = 0
    while _lines(folder) < RECORDS - 2:
        book.reserve(number)
        letter = Letter(number, f"<{number}@example.com>", "a@example.com", "b@example.com", b"x\r\n", bytes(32))
        book.intent(letter, "smtp://oracle.test:25")
        verdict = chance.choice(
            (Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED, Verdict.IN_DOUBT)
        )
        book.verdict(Outcome(number, verdict, "so it went", 250, "2.0.0", "smtp://oracle.test:25"))
        number += 1
    book.end(75)
    book.close()
    return (folder / "checkpoint.journal").read_bytes()


def _lines(folder: Path) -> int:
    return (folder / "checkpoint.journal").read_bytes().count(b"\n")


def truncated(_bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """Cut off at each byte of this slice: what was whole is read, the torn rest is cut off with a notice."""
    whole = write_journal(folder, dice(seed, "journal"))
    (folder / "ballast").unlink(missing_ok=True)
    states = _states(folder, whole)
    for length in range(at, len(whole), SLICES):
        _put(folder, whole[:length])
        tally.number += 1
        outcome = _open(folder, opening=length % OPENED == 0 or length == len(whole) - 1)
        lines = whole[:length].count(b"\n")
        if whole[length : length + 1] == b"\n":
            lines += 1  # only its line feed is missing
        if lines == 0:
            tally.must(outcome == "refused line 1", f"cut at {length}: {outcome}, although not one record is whole")
            continue
        tally.must(outcome in {states[lines], f"{states[lines]} with a notice"}, f"cut at {length}: {outcome[:200]}")
        if outcome.endswith(" with a notice"):
            tally.must(not _ends_line(whole, length), f"cut at {length}: a notice about a whole journal")


def _ends_line(whole: bytes, length: int) -> bool:
    return whole[length - 1 : length] == b"\n"


def flipped(_bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """One byte changed, each byte of this slice in turn: refused with its line, whatever the change."""
    chance = dice(seed, "flips", at)
    whole = write_journal(folder, dice(seed, "journal"))
    (folder / "ballast").unlink(missing_ok=True)
    for place in range(at, len(whole), SLICES):
        changed = bytearray(whole)
        changed[place] ^= chance.randrange(1, 256)
        _put(folder, bytes(changed))
        tally.number += 1
        outcome = _open(folder, opening=place % OPENED == 0)
        line = whole[:place].count(b"\n") + 1
        tally.must(outcome == f"refused line {line}", f"byte {place} of line {line} changed: {outcome[:200]}")


def _put(folder: Path, data: bytes) -> None:
    (folder / "checkpoint.journal").write_bytes(data)


def _states(folder: Path, whole: bytes) -> dict[int, str]:
    """What the first n lines add up to, for each n."""
    states, end = {}, 0
    for line in range(1, whole.count(b"\n") + 1):
        end = whole.index(b"\n", end) + 1
        _put(folder, whole[:end])
        states[line] = _open(folder, opening=False)
    return states


def _open(folder: Path, *, opening: bool) -> str:
    """How the product takes this journal: ``refused line N``, or its recipients' states; never an exception."""
    from campaign.errors import DamageError
    from campaign.ledger import checkpoint, recovery

    try:
        if not opening:
            return recovery.read_history(folder).state.hex()
        before = {path.name for path in folder.iterdir()}
        book = checkpoint.Checkpoint(folder)
        book.close()
        for new in folder.iterdir():
            if new.name not in before:
                new.unlink()
        return book.history.state.hex() + (" with a notice" if book.notices else "")
    except DamageError as error:
        return f"refused line {error.evidence[0].partition('checkpoint.journal:')[2].partition(':')[0]}"


def write_shards(folder: Path, chance: random.Random) -> None:
    """A run that two senders serve, killed: some of their lines are merged, some not, some letters have no reply."""
    from campaign.ledger import checkpoint
    from campaign.ledger.journal.journal_records import Opened
    from campaign.ledger.shards.shard_ledger import FileShard, ShardLedger
    from campaign.ledger.shards.shard_store import ShardStore
    from campaign.model import Letter, Outcome, Verdict

    opened = Opened("torture", "e1", "run", 1, MERGED, "0" * 64, {"compose.subject": "x"}, "shape", 1.0, "trace")
    checkpoint.create(folder, opened)
    book = checkpoint.Checkpoint(folder)
    book.begin_pass()
    store = ShardStore(book, "process", 2, lambda: 1.0)
    store.begin(range(MERGED), MERGED, few=False)
    ledger = ShardLedger(
        book.history, lambda lease: FileShard(folder, lease, book.history, power=False), lambda _: None
    )
    leases = [lease for lease in (store.lease(SHARD) for _ in range(MERGED // SHARD)) if lease]
    for lease in leases:
        ledger.take(lease)
    verdicts = (Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED)
    for number in chance.sample(range(MERGED), MERGED - 4):
        ledger.reserve(number)
        ledger.intent(
            Letter(number, f"<{number}@example.com>", "a@example.com", "b@example.com", b"x\r\n", bytes(32)), "r"
        )
        if chance.random() < 0.9:
            ledger.verdict(Outcome(number, chance.choice(verdicts), "so it went", 250, "2.0.0", "r"))
        if chance.random() < 0.3 and number < MERGED * 3 // 4:
            store.follow()
    kept = {path: path.read_bytes() for path in (folder / "shards").iterdir()}
    if ended := chance.choice([None, *leases]):
        store.finish(ended.span.shard)
        for path, data in kept.items():  # killed before it was removed
            path.write_bytes(data) if not path.exists() else None
    for shard in list(ledger._held):
        shard.close()
    book.close()


def merges_cut(_bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """Wherever a merge was cut off, the next command merges what is missing, once, and removes the shards."""
    from campaign.ledger import checkpoint

    chance, run, past = dice(seed, "merges", at), folder / "run", folder / "past"
    past.mkdir()
    write_shards(past, chance)
    whole = (past / "checkpoint.journal").read_bytes()
    first, ends = whole.index(b'"is":"merged"') - 9, set[str]()
    for length in [len(whole), *chance.sample(range(first, len(whole)), CUTS)]:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(past, run)
        (run / "checkpoint.journal").write_bytes(whole[:length])
        book = checkpoint.Checkpoint(run)
        book.close()
        history = book.history
        ends.add(f"{history.state.hex()} {history.attempts.hex()} {sorted(history.digests.items())}")
        tally.number += 1
        tally.must(len(ends) == 1, f"cut at {length} the journals add up to something else")
        tally.must(not (run / "shards").exists(), f"cut at {length} shards are left")
