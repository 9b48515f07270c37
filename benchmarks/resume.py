"""How soon a large run that is nine tenths done goes on: from the command to its first letter.

The nine tenths are written by our own ledger, record by record, as a run would have; sending them would only take
longer. The first letter is seen by the witness.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import ours, sink

DONE = 0.9


def seconds_to_first_letter(people: int, rounds: int = 3) -> dict[str, Any]:
    """Seconds from the start of the process to the first letter at the server, for each round."""
    with tempfile.TemporaryDirectory() as name, sink.Witness() as witness:
        file = ours.Setup().lay_out(Path(name), witness.port, people)
        subprocess.run(ours.send_command(file, "--limit", "1"), check=False, cwd=sink.ROOT)
        run = next(Path(name).glob("runs/reference/2*"))
        written = settle(run, int(people * DONE))
        found = [_first(file, witness) for _ in range(rounds)]
    return {"people": people, "done": written, "seconds": found}


def _first(file: Path, witness: sink.Witness) -> float:
    before, began = len(witness.deliveries), time.monotonic()
    process = subprocess.Popen(ours.send_command(file), cwd=sink.ROOT)
    try:
        if not witness.wait_for(before + 1):
            raise SystemExit("the resumed run sent nothing")
        return witness.deliveries[before].at - began
    finally:
        process.terminate()
        process.wait()


def settle(run: Path, upto: int) -> int:
    """Write intents and acceptances for everybody below ``upto`` who waits."""
    from campaign.ledger.checkpoint import Checkpoint
    from campaign.model import Letter, Outcome, Verdict

    checkpoint = Checkpoint(run)
    try:
        checkpoint.begin_pass()
        for number in range(upto):
            if checkpoint.history.verdict(number) is not Verdict.WAITING:
                continue
            checkpoint.reserve(number)
            letter = Letter(number, "", "", "", b"", number.to_bytes(32, "big"))
            checkpoint.intent(letter, "smtp://127.0.0.1:25")
            checkpoint.verdict(Outcome(number, Verdict.ACCEPTED, "Ok", 250, "2.0.0", "smtp://127.0.0.1:25"))
    finally:
        checkpoint.close()
    return upto
