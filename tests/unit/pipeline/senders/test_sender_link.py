"""How a sender process begins."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing.connection import Pipe

from campaign.pipeline.serve.senders.sender_link import PROGRAM


def test_a_sender_whose_parent_is_gone_before_it_begins_ends_without_a_word() -> None:
    parents, senders = Pipe()
    parents.close()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(senders.fileno()), *sys.path],
        pass_fds=[senders.fileno()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    senders.close()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
