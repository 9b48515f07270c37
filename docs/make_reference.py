"""Writes docs/reference.md from the code: every command, option, key, verdict and exit code. A test compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from campaign.cli.main import cli
from campaign.config.loading import CampaignFile
from campaign.config.units import duration, duration_as_written
from campaign.exit_codes import ExitCode
from campaign.model import Screened, Verdict

PAGE = Path(__file__).with_name("reference.md")
VERDICTS = {
    Verdict.WAITING: "planned, nothing tried yet",
    Verdict.ACCEPTED: "the relay answered 2xx after the dot; it is not proof of an inbox",
    Verdict.DEFERRED: "a temporary failure (4xx, no connection); a later pass tries again, not before its time",
    Verdict.REJECTED: "refused permanently, or out of attempts; code, enhanced code and text are kept",
    Verdict.UNRENDERABLE: "this row cannot be made into a letter; the reason is kept",
    Verdict.IN_DOUBT: "the dot was sent and no reply was recorded",
    Verdict.WITHDRAWN: "suppressed after the plan was frozen and before the letter was sent",
    Verdict.CANCELLED: "`campaign cancel` ended the run before this letter was sent",
    Verdict.EXPIRED: "`not_after` passed before this letter was sent",
}
SCREENED = {
    Screened.INVALID: "no usable address, a ragged or unreadable row, a value of the wrong type",
    Screened.DUPLICATE: "the same recipient is on an earlier line",
    Screened.MERGED: "a further line of the same letter (`items`)",
    Screened.SUPPRESSED: "on a suppression list, or left out because of feedback",
    Screened.FILTERED: "`where` excludes it",
    Screened.ALREADY: "has a final verdict, or is in doubt, in an earlier run of this edition",
}


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Generated from the code by `docs/make_reference.py`. The promises behind it are in [contract.md](contract.md).",
        "## Commands",
        "Results go to stdout, messages to stderr. Durations are written `90s`, `15m`, `2h`.",
        *commands(),
        "## The campaign file",
        "TOML. Unknown keys are errors, and all errors are reported at once. Relative paths are relative to the file. Every "
        "value can be set from the environment as `CAMPAIGN__SECTION__KEY`, such as `CAMPAIGN__DELIVERY__RATE=20/s`.",
        *sections(CampaignFile, ""),
        "## Environment",
        table(
            ("variable", "what it holds"),
            [
                ("`CAMPAIGN__SECTION__KEY`", "a value of the campaign file"),
                (
                    "`CAMPAIGN_SECRET`",
                    "the secret that signs Message-IDs and unsubscribe tokens, instead of `secret_file`",
                ),
                ("`CAMPAIGN_RELAY_PASSWORD`", "the relay's password"),
                ("`CAMPAIGN_DATABASE_PASSWORD`", "the database's password"),
            ],
        ),
        "## Verdicts",
        table(("verdict", "means"), [(f"`{one}`", VERDICTS[one]) for one in Verdict]),
        "Screened out before the plan, each with line and reason in `screened.csv`:",
        table(("screened", "means"), [(f"`{one}`", SCREENED[one]) for one in Screened]),
        "## Exit codes",
        table(("code", "means"), [(str(int(code)), code.meaning) for code in ExitCode]),
        "Through `make` every failure becomes 2 (make's own rule).",
    ]
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[str]:
    """Each command with its arguments and options."""
    context = click.Context(cli, info_name="campaign")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        pieces = command.collect_usage_pieces(click.Context(command, info_name=name))
        yield f"### `{' '.join(['campaign', name, *(one for one in pieces if one != '[OPTIONS]')])}`"
        yield " ".join((command.help or "").split())
        yield from taught(command.epilog or "")
        options = [one for one in command.params if isinstance(one, click.Option) and one.name != "help"]
        if options:
            yield table(("option", "does"), [(f"`{flags(one)}`", one.help or "") for one in options])


def taught(epilog: str) -> Iterator[str]:
    """What ends a command's help: its examples to be copied, its exit codes, where to read on."""
    examples, codes, more = epilog.removeprefix("\b\n").split("\n\n")
    yield "```sh\n" + "\n".join(line.strip() for line in examples.split("\n")[1:]) + "\n```"
    pages = re.sub(r"docs/([a-z]+\.md)", r"[\1](\1)", more.removesuffix("."))
    yield f"{codes.partition('; all of them')[0]}. {pages}."


def flags(option: click.Option) -> str:
    """``--row INTEGER``."""
    value = "" if option.is_flag else " " + (option.metavar or value_name(option))
    return ", ".join(option.opts) + value


def value_name(option: click.Option) -> str:
    """What stands for the value."""
    if isinstance(option.type, click.Choice):
        return "|".join(str(one) for one in option.type.choices)
    return option.type.name.upper()


def sections(model: type[BaseModel], path: str) -> Iterator[str]:
    """A table per section, inner sections after it."""
    rows, inner = [], []
    for name, field in model.model_fields.items():
        key = field.alias or name
        nested = next(models_in(field.annotation), None)
        if nested is not None:
            inner.append((f"{path}.{key}" if path else key, nested))
        if path:
            rows.append((f"`{key}`", default(field), field.description or ""))
    if rows:
        yield f"### `[{path}]`"
        yield " ".join((model.__doc__ or "").split())
        yield table(("key", "default", "means"), rows)
    for key, nested in inner:
        yield from sections(nested, key)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Settings models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in getattr(annotation, "__args__", ()):
        yield from models_in(one)


def default(field: Any) -> str:
    """The default as it would be written."""
    if field.is_required():
        return "required"
    value = field.default_factory() if field.default_factory else field.default
    if value in (None, "", (), [], {}) or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    if any(getattr(one, "func", None) is duration for one in field.metadata):
        value = duration_as_written(value) if value else "0"
    return f"`{value}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != reference())
    PAGE.write_text(reference(), encoding="utf-8")
