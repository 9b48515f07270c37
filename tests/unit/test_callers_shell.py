"""The tests pass whatever the caller's shell has set for programs of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ODD = {
    "CAMPAIGN_RELAY_PASSWORD": "x",
    "CAMPAIGN_SECRET": "short",
    "CAMPAIGN__DELIVERY__RATE": "1/s",
    "GIT_DIR": "/nowhere",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "LANG": "C",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "PGHOST": "db.example.com",
    "PGPASSWORD": "x",
    "TZ": "Asia/Tokyo",
}


def test_what_a_shell_says_of_campaigns_databases_and_proxies_reaches_no_test() -> None:
    sensitive = "cli/test_first_mistakes.py::test_an_empty_template_would_make_empty_letters"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / sensitive)]
    done = subprocess.run(command, env={**os.environ, **ODD}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
