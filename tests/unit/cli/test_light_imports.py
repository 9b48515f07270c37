"""A light command imports no heavy library, as its user waits for that."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from campaign.cli.main import main
try:
    main()
except SystemExit:
    pass
print(*sorted(set(sys.argv_heavy) & {name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
HEAVY = ["pydantic", "jinja2", "asyncio", "pandas", "sqlalchemy", "lxml", "premailer", "cryptography", "structlog"]


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["send", "--help"], ["status", "--help"]])
def test_help_imports_nothing_that_it_does_not_show(command: list[str]) -> None:
    script = SCRIPT.replace("sys.argv_heavy", repr(HEAVY))
    found = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, check=False, timeout=60
    )
    assert "campaign" in found.stdout
    assert found.stderr.strip() == ""


def test_status_imports_nothing_that_renders_or_sends() -> None:
    heavy = ["jinja2", "asyncio", "aiosmtplib", "premailer", "lxml", "cryptography", "pandas", "structlog"]
    script = f"import sys, campaign.pipeline.operate.run_standing; sys.exit(repr(set({heavy}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert found.stderr.strip() == "set()"
