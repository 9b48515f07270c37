"""Chromium or Chrome, whichever this machine has, started without a window and with a profile of its own.

A desktop's browser opens a window unless told not to, hands its page to the one that already runs unless it has another
profile, and has no window narrower than 500 pixels: a page that is to be narrower is put into a frame.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

PROGRAMS = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--no-first-run",
    "--allow-file-access-from-files",
)
SCHEMES = {"dark": 0, "light": 1}  # the numbers of Blink's setting
PROBE = """<body><script>document.body.dataset.dark = matchMedia('(prefers-color-scheme: dark)').matches</script>"""
STARTING = 20.0  # seconds for the first page; a browser that hangs is none


def run(page: Path, *options: str, width: int = 1280, height: int = 2400, scheme: str = "light") -> str:
    """Show ``page`` and give what the browser printed; the test is skipped where there is none that works."""
    done = _start(needed(), page, *options, f"--window-size={width},{height}", scheme=scheme, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def needed() -> str:
    """The first browser that works. Skips where there is none, with the reason of each that was tried."""
    found, failures = _first_that_works(os.environ.get("PATH", ""))
    if found is None:
        why = "; ".join(failures) or "none is installed"
        pytest.skip(f"no Chromium or Chrome that works ({why}); apt-get install chromium-headless-shell")
    return found


def framed(page: Path, width: int, height: int = 2400) -> Path:
    """A page with ``page`` in a frame of exactly this width, which may write into ``top.document.body.dataset``."""
    outer = page.with_name(f"framed-{page.name}")
    outer.write_text(
        f'<!doctype html><body style="margin:0"><iframe src="{page.name}" width="{width}" height="{height}" '
        'style="border:0"></iframe></body>'
    )
    return outer


@cache
def _first_that_works(path: str) -> tuple[str | None, tuple[str, ...]]:
    failures = []
    for program in filter(None, (shutil.which(one, path=path) for one in PROGRAMS)):
        failure = _failure(program)
        if failure is None:
            return program, ()
        failures.append(f"{program}: {failure}")
    return None, tuple(failures)


def _failure(program: str) -> str | None:
    """Why this browser is of no use here, or None: it must read a file, run a script and take a colour scheme."""
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        page = Path(folder) / "probe.html"
        page.write_text(PROBE)
        try:
            done = _start(program, page, "--dump-dom", scheme="dark", timeout=STARTING)
        except subprocess.TimeoutExpired:
            return f"no page within {STARTING:.0f} seconds"
        except OSError as error:
            return error.strerror or str(error)
    if done.returncode:
        last = next(iter(done.stderr.strip().splitlines()[-1:]), "")
        return f"exit {done.returncode}, {last[-200:]}"
    return None if 'data-dark="true"' in done.stdout else "it does not show a page of ours"


def _start(program: str, page: Path, *options: str, scheme: str, timeout: float) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as profile:
        own = [f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"]
        return subprocess.run(
            [program, *OPTIONS, *own, *options, page.as_uri()],
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )
