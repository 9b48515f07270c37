"""Simulate many seeds: ``python -m tests.simulation [--seeds N] [--first SEED] [--seed SEED] [--processes 2]``."""

from __future__ import annotations

import os
import signal
import sys

if os.environ.get("PYTHONHASHSEED") != "0":  # sets of names are walked in the same order each time
    os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
              {**os.environ, "PYTHONHASHSEED": "0"})  # fmt: skip

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job would ignore some of them
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

from tests.simulation import clock  # noqa: E402 - as below

clock.install()

from tests.simulation.command import main  # noqa: E402 - the clock has to be in place before the product is imported

sys.exit(main())
