"""``campaign explain``: what a finding, a verdict, an exit code, a message or a key of the campaign file means."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # the module is loaded when the command runs
    from campaign.explain.explanation import Explanation

KINDS = {
    "finding": "a finding of `campaign check`",
    "verdict": "a verdict: what became of a recipient",
    "screened": "a reason why a row gets no letter",
    "exit code": "an exit code",
    "message": "a message",
    "symptom": "something that can be seen without a message",
    "section": "a section of the campaign file",
    "key": "a key of the campaign file",
}
WIDEST = 100  #: columns, even of a wider terminal
LABEL = 10  #: columns of the names of facts
MESSAGES_SHOWN = 5  #: of an exit code


class NameType(click.ParamType[str]):
    """Anything that has an explanation; completes to names."""

    name = "name"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """All names that begin so, except sentences."""
        from campaign.explain.find_explanation import names

        return [CompletionItem(one) for one in names() if one.startswith(incomplete)]


@click.command(
    "explain",
    epilog=lesson(
        "campaign explain spf-missing",
        "campaign explain delivery.rate",
        "campaign explain 75",
        "campaign explain The journal is damaged",
        codes="0 explained, 2 nothing has that name",
        more="docs/troubleshooting.md, docs/check.md and docs/reference.md have all of it.",
    ),
)
@click.argument("name", type=NameType(), nargs=-1, required=True, metavar="NAME")
@json_option()
def explain_command(name: tuple[str, ...], as_json: bool) -> ExitCode:
    """Explain NAME: a finding of `campaign check`, a verdict, an exit code, a message, or a key of the campaign file.

    Of a message the first words are enough. Of a key the last part is enough.
    """
    from campaign.explain.find_explanation import closest, find_explanations
    from campaign.report.live.terminal_width import width_of

    typed = " ".join(name)
    found = find_explanations(typed)
    if not found:
        near = ", ".join(repr(one) for one in closest(typed))
        raise click.UsageError(f"Nothing is called {typed!r}" + (f"; the closest: {near}." if near else "."))
    if as_json:
        print_json({"explanations": [one.facts() for one in found]}, indent=2)
        return ExitCode.DONE
    width = min(width_of(sys.stdout) or 80, WIDEST)
    click.echo("\n\n".join(told(one, width) for one in found))
    return ExitCode.DONE


def told(one: Explanation, width: int) -> str:
    """The name, what kind of thing it is, and each fact with its label."""
    head = textwrap.fill(one.name, width, break_on_hyphens=False, break_long_words=False)
    return "\n".join(
        [click.style(head, bold=True), *(wrapped(label, text, width) for label, text in facts(one) if text)]
    )


def facts(one: Explanation) -> Iterator[tuple[str, str]]:
    """The facts of an explanation, each with the label that the terminal shows."""
    yield "is", KINDS[one.kind] + (f": {one.severity}" if one.severity else "")
    yield "means", one.means
    yield "do", one.remedy
    yield "exit", ", ".join(map(str, one.exit_codes))
    yield from messages_of(one)
    yield "write", one.form
    yield "default", one.default
    yield "or set", one.variable
    yield "keys", ", ".join(one.keys)
    yield "more", one.page


def messages_of(code: Explanation) -> Iterator[tuple[str, str]]:
    """The messages that end with an exit code, a line each, or how many there are."""
    from campaign.explain.explanation import explanations

    if code.kind != "exit code":
        return
    ends = [one.name for one in explanations() if int(code.name) in one.exit_codes]
    if len(ends) > MESSAGES_SHOWN:
        ends = [f"{len(ends)} end so; docs/troubleshooting.md has them"]
    for number, message in enumerate(ends):
        yield "" if number else "messages", message


def wrapped(label: str, text: str, width: int) -> str:
    """A fact beside its label, over several lines if need be; commands are spelled so that they can be typed."""
    from campaign.report.printed_commands import typeable

    head, rest = f"  {label:<{LABEL}}", " " * (LABEL + 2)
    return textwrap.fill(
        typeable(text),
        width,
        initial_indent=head,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )
