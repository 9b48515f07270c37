"""The questions of ``campaign init``: each is answered by its option, by its default, or on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from campaign.pipeline.begin.answers import (
    DEFAULT_SENDER,
    encodings_to_choose,
    lists_in,
    unchosen,
    usable_list,
    usable_name,
    usable_relay,
    usable_sender,
    wanted_list,
)
from campaign.pipeline.begin.begin_campaign import source_from, uninstalled_forms
from campaign.pipeline.begin.campaign_file_text import NewCampaign
from campaign.pipeline.begin.found_list import FoundList, look_at_list, needs_query
from campaign.pipeline.begin.table_names import select_all, tables_in
from campaign.report.formatting import counted

Check = Callable[[str], str]
#: Lists of a folder that an error names.
MOST_NAMED = 5

STARTERS = {
    "newsletter": "news to many, every month or so",
    "notice": "one message to people whom it concerns",
    "invoice": "each person's own figures, as a table",
}
FORMS = {"html": "full control", "markdown": "plain text with marks", "mjml": "tags made for mail"}


class Questions:
    """Answers come from ``given``, the options; what is not there is asked on a terminal, unless ``--yes``."""

    def __init__(self, given: Mapping[str, Any], say: Callable[[str], None], *, terminal: bool) -> None:
        self._given, self._say = given, say
        self._yes = bool(given["yes"])
        self._asks = terminal and not self._yes

    def new_campaign(self, folder: Path) -> NewCampaign:
        """All answers. Raises click's usage error for one that is wrong or missing, CampaignError for the list."""
        self._refuse_silence(folder)
        source = self._source(folder)
        found = self._list(source)
        starter = self._one_of("starter", "What kind of letter", STARTERS)
        form = self._form()
        return NewCampaign(
            name=self._name(folder, starter),
            starter=starter,
            form=form,
            sender=self._answer("sender", "From", DEFAULT_SENDER, usable_sender),
            relay=self._answer("relay", "Relay (mailbox: a rehearsal, nobody gets one)", "mailbox", usable_relay),
            source=source_from(source, folder),
            found=found,
        )

    def _refuse_silence(self, folder: Path) -> None:
        """Name every option that is missing, where there is no terminal to ask on."""
        if self._asks:
            return
        offered = lists_in(folder)
        missing = [
            option
            for option, key, default in (("--list", "source", len(offered) == 1), ("--from", "sender", True))
            if not self._given[key] and not (self._yes and default)
        ]
        source = self._given["source"] or (str(offered[0]) if len(offered) == 1 else "")
        tables = tables_in(source)
        if needs_query(source) and not self._given["query"] and not (self._yes and len(tables) == 1):
            missing.append("--query")
        if not missing:
            return
        hint = ", or --yes for the defaults" if not self._yes and (missing != ["--query"] or len(tables) == 1) else ""
        why = lists_text(folder, offered) if self._yes and "--list" in missing else ""
        if self._yes and len(tables) > 1:
            why = f"{source} has the tables {', '.join(tables)}"
        raise click.UsageError(f"Give {' and '.join(missing)}{hint}: {why or 'there is no terminal to ask on'}.")

    def _source(self, folder: Path) -> str:
        offered = lists_in(folder)
        check = usable_list if self._asks and not self._given["source"] else str
        return self._answer(
            "source", "The list (a file, or a database URL)", str(offered[0]) if offered else None, check
        )

    def _list(self, source: str) -> FoundList:
        query = self._query(source) if needs_query(source) else ""
        encoding = self._encoding(source)
        found = look_at_list(wanted_list(source, query, self._given["address"], encoding), Path())
        self._say(told(source, found))
        return found

    def _query(self, source: str) -> str:
        tables = [] if self._given["query"] else tables_in(source)
        if len(tables) > 1:
            self._say(f"its tables: {', '.join(tables)}")
        return self._answer("query", "Its select statement", select_all(tables[0]) if len(tables) == 1 else None)

    def _encoding(self, source: str) -> str:
        """The encoding that was given, or chosen among those in which the file makes sense; empty for UTF-8."""
        if self._given["encoding"]:
            return str(self._given["encoding"])
        choices = encodings_to_choose(wanted_list(source, "", "", ""))
        if not choices:
            return ""
        if not self._asks:
            if not self._yes:
                raise unchosen(source, choices)
            self._say(f"{source} is not UTF-8. It is read as {choices[0].encoding}: {choices[0].line}")
            return choices[0].encoding
        self._say(f"{source} is not UTF-8. Which of these lines reads right?")
        return self._numbered({one.encoding: one.line for one in choices}, "Its encoding")

    def _name(self, folder: Path, starter: str) -> str:
        def free(text: str) -> str:
            if self._asks and (folder / f"{usable_name(text)}.toml").exists():
                raise ValueError(f"{folder / text}.toml is already there; choose another name")
            return usable_name(text)

        return self._answer("name", "Name of the campaign", starter, free)

    def _form(self) -> Any:
        """What the template is written in; on a terminal, only what is installed is offered."""
        lacking = uninstalled_forms() if self._asks and not self._given["form"] else {}
        offered = {form: meaning for form, meaning in FORMS.items() if form not in lacking}
        for form, command in lacking.items():
            self._say(f"  for a letter in {form}, first: {command}")
        return self._one_of("form", "Written in", offered)

    def _one_of(self, key: str, question: str, choices: Mapping[str, str]) -> Any:
        if self._given[key] or not self._asks or len(choices) == 1:
            return self._given[key] or next(iter(choices))
        return self._numbered(choices, question)

    def _numbered(self, choices: Mapping[str, str], question: str) -> str:
        width = max(map(len, choices))
        for number, (name, meaning) in enumerate(choices.items(), 1):
            self._say(f"  {number}  {name:<{width}}  {meaning}")
        number = click.prompt(question, default=1, type=click.IntRange(1, len(choices)), err=True)
        return list(choices)[number - 1]

    def _answer(self, key: str, question: str, default: str | None = None, check: Check = str) -> str:
        """The option's value, the default, or what is typed; it is asked again until ``check`` accepts it."""
        given = self._given[key]
        if given or not self._asks:
            return checked(given or default or "", check)
        return str(
            click.prompt(question, default=default, value_proc=lambda text: checked(text.strip(), check), err=True)
        )


def checked(text: str, check: Check) -> str:
    """``text`` if ``check`` accepts it, or else a usage error with its sentence."""
    try:
        return check(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def place_text(folder: Path) -> str:
    """The folder as a message names it."""
    return "this folder" if folder == Path() else str(folder)


def lists_text(folder: Path, offered: Sequence[Path]) -> str:
    """How many lists there are in the folder, with the first few names."""
    names = ", ".join(path.name for path in offered[:MOST_NAMED])
    more = ", …" if len(offered) > MOST_NAMED else ""
    return f"{place_text(folder)} has {counted(len(offered), 'list')}" + (f": {names}{more}" if names else "")


def told(source: str, found: FoundList) -> str:
    """What was found in a list, in one line."""
    headers = found.headers
    parts = [f"addresses from the column {headers[found.address]!r}"]
    if found.display is not None:
        parts.append(f"names from {headers[found.display]!r}")
    if found.settings.header_row:
        parts.append(f"the header in row {found.settings.header_row}")
    if found.settings.header:
        parts.append("no header")
    why = ", ".join(f"{count:,} {kind}" for kind, count in found.aside.items() if count)
    left = f", {sum(found.aside.values()):,} left out ({why})" if why else ""
    least = "at least " if found.more else ""
    return f"{source}: {least}{counted(found.planned, 'recipient')}{left}; {', '.join(parts)}"
