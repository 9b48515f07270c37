"""A light command imports no heavy library, as its user waits for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: What a plain run of one process has no use for.
UNUSED = [
    *("cssutils", "difflib", "multiprocessing", "pandas", "premailer", "requests", "sqlalchemy", "statistics"),
    *("campaign.compose.html.markdown_mjml", "campaign.delivery.credentials.gateway_login"),
    *("campaign.delivery.credentials.oauth", "campaign.pipeline.serve.senders.sender_pool"),
    "campaign.report.telemetry.metrics",
]
PLAIN = """
[campaign]
name = "plain"
from = "news@example.com"
[audience]
source = "list.csv"
address = "email"
[compose]
subject = "Hello {{ name }}"
html = "letter.html"
[delivery]
relay = "mailbox"
"""
SCRIPT = """
import sys
from campaign.cli.main import main
try:
    main()
except SystemExit:
    pass
print(*sorted(set(sys.argv_heavy) & {name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
WHOLE_NAMES = SCRIPT.replace('{name.partition(".")[0] for name in sys.modules}', "set(sys.modules)")
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


def test_a_plain_run_imports_nothing_that_another_run_needs(tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(PLAIN)
    (tmp_path / "list.csv").write_text("email,name\nada@example.com,Ada\n")
    (tmp_path / "letter.html").write_text("<style>p { color: red }</style><p>Hello {{ name }}</p>")
    script = WHOLE_NAMES.replace("sys.argv_heavy", repr(UNUSED))
    found = subprocess.run(
        [sys.executable, "-c", script, "send", "plain.toml", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert list(tmp_path.glob("runs/plain/*/mailbox/new/*"))
    assert found.stderr.strip() == ""
