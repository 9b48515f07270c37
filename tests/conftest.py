"""What holds for all circles of tests.

Whatever installs from a package index runs only when asked for by name, and where ``CAMPAIGN_CI`` is set, a test whose
server is missing fails instead of being skipped. What the caller's shell says of campaigns, databases, proxies, spans
and its terminal reaches no test. Python keeps what it compiled, so a command that a test starts needs a third of a
second less. The header says how long all tests will take: as long as last time on this machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator

import pytest

#: What no machine has to have: further interpreters, and what the tests themselves look for.
MAY_BE_MISSING = ("CPython", "systemd-analyze", "prometheus", "promtool", "Pushgateway", "network namespace")

#: How the names begin of what a person may have set for programs of their own; the tests set what they are about.
CALLERS_OWN = (
    "CAMPAIGN_",
    "COLUMNS",
    "GIT_",
    "LINES",
    "MYSQL_",
    "OTEL_",
    "PG",
    "PYTHONDONTWRITE",
    "PYTHONIO",
    "SSL_CERT_",
)
TERMINAL = {"CI", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")
KEPT = ("CAMPAIGN_CI",)

STARTED = pytest.StashKey[float]()
LASTED = "campaign/seconds"
FIRST_GUESS = 15 * 60


def forget_callers_variables() -> None:
    for name in [*os.environ]:
        callers = name.startswith(CALLERS_OWN) or name in TERMINAL or name.lower() in PROXIES
        if callers and name not in KEPT:
            del os.environ[name]
    os.environ["TERM"] = "xterm"
    sys.dont_write_bytecode = False


def takes_all(config: pytest.Config) -> bool:
    """Whether nobody chose some of the tests; a worker of another process was given its own."""
    some = any(config.getoption(one, None) for one in ("markexpr", "keyword", "collectonly", "lf", "deselect"))
    by_name = config.args_source is pytest.Config.ArgsSource.ARGS
    return not some and not by_name and not hasattr(config, "workerinput")


def pytest_report_header(config: pytest.Config) -> str | None:
    if not takes_all(config):
        return None
    cache = getattr(config, "cache", None)
    before = cache.get(LASTED, None) if cache else None
    minutes = round((before or FIRST_GUESS) / 60 + 0.5)
    return f"all tests: about {minutes} min" + (", as last time" if before else " on two processors")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[STARTED] = time.monotonic()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    cache = getattr(session.config, "cache", None)
    if cache and exitstatus <= pytest.ExitCode.TESTS_FAILED and takes_all(session.config):
        cache.set(LASTED, time.monotonic() - session.config.stash[STARTED])


def pytest_configure(config: pytest.Config) -> None:
    forget_callers_variables()
    config.addinivalue_line("markers", "slow: installs from a package index, or takes minutes; run with -m slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CAMPAIGN_CI") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if not any(word in reason for word in MAY_BE_MISSING):
            report.outcome = "failed"
            report.longrepr = f"CAMPAIGN_CI is set, so this may not be skipped: {reason}"
    return report
