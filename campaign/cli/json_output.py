"""What `--json` prints, also on failure: one object, or by `send` and `retry` one a line; nothing else on stdout.

The members are described in docs/json.md. An error hides the local parts of addresses; stderr has the whole sentence.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from campaign.errors import CampaignError

if TYPE_CHECKING:  # the modules are loaded when a command runs
    from campaign.config import Settings
    from campaign.report.live.console import Console

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
#: Commands that print lines while they work.
IN_LINES = ("send", "retry")
OBJECT = "Print one JSON object instead of text; docs/json.md has its members."
ANYWAY = "The same, as this command prints JSON in any case; with it errors are JSON too."
LINES = "Print JSON, an object a line, while it works; docs/json.md has their members."


def json_option(text: str = OBJECT, *, heeded: bool = True) -> Decorator:
    """The option --json; without ``heeded`` the command prints JSON in any case, and only its errors depend on it."""
    return click.option("--json", "as_json", is_flag=True, expose_value=heeded, help=text)


def run_console(settings: Settings, *, as_json: bool, quiet: bool) -> Console:
    """The console of a command that sends: lines of text on stderr, or events on stdout."""
    from campaign.report.live.console import Console

    if not as_json:
        return Console(quiet=quiet)
    from campaign.report.live.event_console import EventConsole
    from campaign.report.live.redaction import Redactor

    redactor = Redactor(known_secrets(settings), addresses=settings.report.show_addresses)
    return EventConsole(quiet=quiet, redactor=redactor)


def known_secrets(settings: Settings) -> list[bytes]:
    """The campaign's secret, if there is one yet; it masks itself in all that is printed."""
    found = [os.environ.get("CAMPAIGN_SECRET", "").strip().encode()]
    with contextlib.suppress(OSError):
        found.append((settings.base / settings.campaign.secret_file).read_bytes().strip())
    return [secret for secret in found if secret]


def print_json(facts: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Print one object to stdout, in whatever encoding stdout has."""
    click.echo(json_text(facts, sys.stdout.encoding, indent=indent))


def json_text(facts: Mapping[str, Any], encoding: str | None, *, indent: int | None = None) -> str:
    """The object as text that ``encoding`` can hold; a file name that is not text is spelled with escapes."""
    if (encoding or "").lower().replace("-", "") != "utf8":
        return json.dumps(facts, ensure_ascii=True, indent=indent)
    text = json.dumps(facts, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def print_failure(error: CampaignError, exit_code: int, arguments: Sequence[str]) -> None:
    """Print why the command failed in the form that the command line ``arguments`` asks for, JSON or an annotation."""
    if not wants_json(arguments):
        if asks_for("github", arguments):
            print_annotation(error)
        return
    from campaign.report.live.event_console import error_facts, stamp

    facts = error_facts(error.what, error.evidence, error.next_step, exit_code)
    in_lines = next((word for word in arguments if not word.startswith("-")), "") in IN_LINES
    with contextlib.suppress(OSError, ValueError):  # whoever read stdout has gone
        print_json({"at": stamp(), "event": "error", "error": facts} if in_lines else {"error": facts})


def print_annotation(error: CampaignError) -> None:
    """Print the error as a workflow command of GitHub Actions."""
    from campaign.check.output.github_annotations import failure_annotation

    with contextlib.suppress(OSError, ValueError):  # whoever read stdout has gone
        click.echo(failure_annotation(error))


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON; also of one that is wrong, as its error is JSON too."""
    return "--json" in before_dashes(arguments) or asks_for("json", arguments)


def asks_for(form: str, arguments: Sequence[str]) -> bool:
    """Whether the command line asks for this form with --format."""
    options = before_dashes(arguments)
    return f"--format={form}" in options or ("--format", form) in pairwise(options)


def before_dashes(arguments: Sequence[str]) -> list[str]:
    """The words in front of ``--``, behind which there are no options."""
    options = list(arguments)
    return options[: options.index("--")] if "--" in options else options
