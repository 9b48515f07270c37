"""`report.html`: one offline file without scripts, for light and dark mode, from telephone to wide screen.

Sections lead from the answer to the detail: the headline, what to do next, what came back, the row counts, the pace,
the replies in words, letters in doubt, and at the end the settings and hashes that determined the letters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from campaign.model import Verdict
from campaign.report import formatting
from campaign.report.facts import DoubtRow, ReplyTally, RunFacts, SampleLetter
from campaign.report.html import charts
from campaign.report.html.feedback_section import feedback_section
from campaign.report.html.html_builder import Child, Html, html_document, tag
from campaign.report.report_file import replacing
from campaign.report.summary import SCREENS, balance, next_steps, rows_text

NAME = "report.html"
#: Rows shown of each list; the rest is in the files beside the page.
MOST_REPLIES, MOST_DOUBTS = 20, 100
#: Domains shown at once; the other large ones are folded away.
OPEN_DOMAINS = 8

#: The meaning of each reason to set a row aside.
_SET_ASIDE = {
    "invalid": "the address or a typed cell cannot be read",
    "duplicate": "the recipient stands in the list before",
    "merged": "a further line of a letter that is made of several",
    "suppressed": "listed as not to be written to",
    "filtered": "the setting where leaves it out",
    "already": "an earlier run of this edition has served it, or may have",
}

_FINGERPRINTS = (
    "Checksums (SHA-256) of the files and settings that shape a letter. The run goes on only while they are the same, "
    "so that everybody gets the same letter."
)

_MADE_UP = (
    "As a made-up reader would get it: a word in «marks» stands for that column of the list, numbers are 1, dates "
    "2030. No recipient's data is shown."
)

_ENDINGS = {
    0: ("good", "Finished"),
    3: ("warn", "Finished, some failed"),
    4: ("warn", "Finished, some in doubt"),
    5: ("hold", "Held by an operator"),
    69: ("bad", "Stopped: no relay could be used"),
    70: ("bad", "The books do not balance"),
    75: ("hold", "Unfinished: run it again"),
    77: ("bad", "Stopped: the relay refused the login"),
    130: ("hold", "Stopped by hand"),
    143: ("hold", "Stopped by a signal"),
}


def write_page(folder: Path, facts: RunFacts) -> Path:
    """Write ``report.html`` (0600) into ``folder`` and return its path. Raises StorageError."""
    path = folder / NAME
    with replacing(path) as stream:
        stream.write(page(facts))
    return path


def page(facts: RunFacts) -> Html:
    """The whole document."""
    sections = [
        _section("Next", _next(facts)),
        _section("Feedback", feedback_section(facts)),
        _section("Letter", _letter(facts.sample) if facts.sample else None),
        _section("Notes", tag("ul", (tag("li", note) for note in facts.notes), cls="notes") if facts.notes else None),
        _section("Books", _books(facts)),
        _section("Over time", charts.timeline(facts)),
        _section("Reply time", _latency(facts)),
        _section("Domains", _domains(facts)),
        _section("Not rendered", _unrendered(facts)),
        _section("Replies", _replies(facts)),
        _section("In doubt", _doubts(facts)),
        _section("Fine print", _fine_print(facts)),
    ]
    title = f"{headline(facts)} – {facts.campaign} {facts.edition}".rstrip()
    return html_document(title, "page.css", _masthead(facts), tag("main", sections), _footer())


def headline(facts: RunFacts) -> str:
    """The run in a few words: ``996 of 1,000 accepted``."""
    accepted, planned = facts.count(Verdict.ACCEPTED), facts.books.planned
    if not planned:
        return "Nobody was left to serve"
    if accepted == planned:
        return f"All {planned:,} accepted" if planned > 1 else "The one letter was accepted"
    if not accepted:
        return f"None of {planned:,} accepted" if planned > 1 else "The one letter was not accepted"
    return f"{accepted:,} of {planned:,} accepted"


def _masthead(facts: RunFacts) -> Html:
    mood, ending = _ENDINGS.get(facts.exit_code, ("bad", f"Stopped with exit code {facts.exit_code}"))
    if facts.exit_code == 3 and not facts.count(Verdict.ACCEPTED):
        mood, ending = "bad", "Finished, nobody was served"
    eyebrow = [tag("strong", facts.campaign), tag("span", facts.edition) if facts.edition else None]
    eyebrow += [tag("span", "a rehearsal: nobody got a letter")] if facts.rehearsal else []
    return tag(
        "header",
        tag("p", eyebrow, tag("span", ending, cls=f"ending {mood}"), cls="eyebrow"),
        tag("h1", headline(facts)),
        _lede(facts),
        charts.stacked(facts.verdicts, label="Verdicts") if facts.books.planned else None,
        _tally(facts) if facts.books.planned else None,
    )


def _lede(facts: RunFacts) -> list[Html]:
    rest = [(name, facts.count(name)) for name in formatting.READING_ORDER[1:] if facts.count(name)]
    parts = [f"{count:,} {'is' if count == 1 else 'are'} {formatting.verdict(name)}" for name, count in rest]
    joined = f"{', '.join(parts[:-1])} and {parts[-1]}." if len(parts) > 1 else f"{parts[0]}." if parts else ""
    accepted = facts.count(Verdict.ACCEPTED)
    pace = f" at {formatting.rate_text(accepted / facts.seconds)}" if accepted and facts.seconds else ""
    passes = f" in {facts.passes:,} passes" if facts.passes > 1 else ""
    took = f" and took {formatting.duration_text(facts.seconds)}{passes}{pace}" if facts.seconds else ""
    when = f"Began {formatting.moment_in(facts.started, facts.zone)}{took}."
    return [tag("p", line, cls="lede") for line in (joined, when) if line]


def _tally(facts: RunFacts) -> Html:
    shown = [name for name in formatting.READING_ORDER if facts.count(name) or name == Verdict.ACCEPTED]
    figures = (
        tag(
            "div",
            tag("dt", tag("i", cls=f"dot {name}"), formatting.verdict(name)),
            tag(
                "dd",
                tag("b", facts.count(name)),
                tag("span", formatting.percentage(facts.count(name), facts.books.planned)),
            ),
        )
        for name in shown
    )
    return tag("dl", figures, cls="tally")


def _section(title: str, content: Html | None) -> Html | None:
    return tag("section", tag("h2", title), tag("div", content)) if content else None


def _next(facts: RunFacts) -> Html | None:
    steps = next_steps(facts)
    rows = (tag("li", _command(command), tag("span", formatting.sentence(why))) for command, why in steps)
    return tag("ol", rows, cls="steps") if steps else None


def _letter(sample: SampleLetter) -> Html:
    """The letter for a made-up recipient, in a frame that runs and loads nothing."""
    frame = tag("iframe", sandbox="", srcdoc=sample.html, title="The letter", tabindex="0")
    body = frame if sample.html else tag("pre", (tag("span", line) for line in sample.text.splitlines()), tabindex="0")
    name, bracket, address = sample.sender.rpartition("<")
    return tag(
        "figure",
        tag("p", sample.subject, cls="subject"),
        tag(
            "p", f"{name}{bracket}{formatting.people_address(address.rstrip('>'))}{'>' if bracket else ''}", cls="quiet"
        ),
        body,
        tag("figcaption", _MADE_UP),
        cls="letter",
    )


def _command(command: str) -> Html:
    """A command whose words do not break at their hyphens, however narrow the page."""
    return tag("code", ([tag("span", word), " "] if len(word) < 24 else [word, " "] for word in command.split(" ")))


def _books(facts: RunFacts) -> Html:
    books, complaints = facts.books, balance(facts.books, facts.verdicts)
    aside = {name: getattr(books, name) for name in SCREENS}
    verdicts = {name: facts.count(name) for name in formatting.READING_ORDER}
    flow = tag(
        "ol",
        _panel("Rows read", books.read, {"further addresses of cells": books.further}),
        _panel("Set aside", sum(aside.values()), aside),
        _panel("Planned", books.planned, {}),
        _panel("Verdicts", sum(verdicts.values()), verdicts),
        cls="flow",
    )
    if complaints:
        return tag("div", flow, (tag("p", f"They do not balance: {one}.", cls="alarm") for one in complaints))
    parts = [f"{count:,} {name}" for name, count in aside.items() if count]
    sums = " + ".join([*parts, f"{books.planned:,} planned"])
    sentence = f"They balance: {rows_text(books, ' read')} = {sums}; every recipient has one verdict."
    return tag("div", flow, tag("p", sentence, cls="quiet"), _reasons(aside))


def _reasons(aside: Mapping[str, int]) -> Html | None:
    """The meaning of the words for rows set aside, and where to find the reason of each row."""
    count = sum(aside.values())
    if not count:
        return None
    rows = [tag("div", tag("dt", f"{n:,} {name}"), tag("dd", _SET_ASIDE[name])) for name, n in aside.items() if n]
    link = tag("a", "screened.csv", href="screened.csv")
    where = tag("p", "Each row with its line and reason: ", link, ", in the folder of this page.", cls="quiet")
    title = f"Why {formatting.counted(count, 'row was', 'rows were')} set aside"
    return tag("details", tag("summary", title), tag("dl", rows, cls="words"), where, cls="reasons")


def _panel(title: str, total: int, parts: Mapping[str, int]) -> Html:
    rows = [tag("li", tag("span", formatting.verdict(name)), tag("b", count)) for name, count in parts.items() if count]
    return tag("li", tag("span", title, cls="name"), tag("b", total, cls="total"), tag("ul", rows) if rows else None)


def _latency(facts: RunFacts) -> Html | None:
    if not facts.latency:
        return None
    relays = (tag("li", tag("span", name), tag("b", count)) for name, count in facts.relays.items())
    return tag(
        "div",
        tag("p", "From a letter's final dot to the relay's answer.", cls="quiet"),
        charts.latencies(facts),
        tag("h3", "Accepted by relay") if facts.relays else None,
        tag("ul", relays, cls="pairs") if facts.relays else None,
    )


def _domains(facts: RunFacts) -> Html | None:
    ranked = sorted(facts.by_domain.items(), key=lambda one: -sum(one[1].values()))
    if not ranked:
        return None
    shown, folded = ([_domain(*one) for one in some] for some in (ranked[:OPEN_DOMAINS], ranked[OPEN_DOMAINS:]))
    title = formatting.counted(len(folded), "more domain")
    rest = tag("details", tag("summary", title), tag("ul", folded, cls="domains"), cls="rest") if folded else None
    return tag("div", tag("ul", shown, cls="domains"), rest, _more(facts.domain_count - len(ranked), "smaller domain"))


def _domain(domain: str, counts: Mapping[str, int]) -> Html:
    total, accepted = sum(counts.values()), counts.get(Verdict.ACCEPTED, 0)
    rest = [f"{counts[name]:,} {formatting.verdict(name)}" for name in formatting.READING_ORDER[1:] if counts.get(name)]
    return tag(
        "li",
        tag("span", formatting.people_address(domain), cls="name"),
        tag("span", tag("b", accepted), f" of {total:,}", cls="value"),
        charts.stacked(counts, label=domain),
        tag("span", ", ".join(rest) or "all accepted", cls="quiet"),
    )


def _replies(facts: RunFacts) -> Html | None:
    replies = [one for one in facts.by_reply if one.verdict != Verdict.UNRENDERABLE]
    return _ranked(replies, _reply, "reply", "replies")


def _unrendered(facts: RunFacts) -> Html | None:
    """Rows whose letter could not be rendered: a matter of list and template, which no relay has seen."""
    faults = [one for one in facts.by_reply if one.verdict == Verdict.UNRENDERABLE]
    return _ranked(faults, _fault, "reason")


def _fault(one: ReplyTally) -> Html:
    return tag("li", tag("b", one.count, cls="value"), tag("p", formatting.sentence(one.reason)))


def _reply(one: ReplyTally) -> Html:
    code = f"{one.code or ''} {one.enhanced}".strip() or "no reply"
    return tag(
        "li",
        tag("b", one.count, cls="value"),
        tag(
            "div",
            tag(
                "p", tag("code", code), tag("span", tag("i", cls=f"dot {one.verdict}"), formatting.verdict(one.verdict))
            ),
            tag("p", _advice(one), cls="advice") if one.meaning or one.advice else None,
            tag("p", one.reason, cls="said") if one.reason else None,
        ),
    )


def _advice(one: ReplyTally) -> list[Child]:
    """The meaning of a reply, and what to do about it: ``The mailbox is full. Campaign retry tries …``."""
    meaning, advice = formatting.sentence(one.meaning), formatting.sentence(one.advice)
    return [tag("b", meaning) if meaning else None, " " if meaning and advice else None, advice]


def _ranked(
    tallies: Sequence[ReplyTally], shown: Callable[[ReplyTally], Html], noun: str, plural: str = ""
) -> Html | None:
    """The commonest first, as many as people read."""
    ranked = sorted(tallies, key=lambda one: -one.count)
    rows, more = [shown(one) for one in ranked[:MOST_REPLIES]], len(ranked) - MOST_REPLIES
    return tag("div", tag("ul", rows, cls="replies"), _more(more, noun, plural)) if rows else None


def _more(count: int, noun: str, plural: str = "") -> Html | None:
    return tag("p", f"And {formatting.counted(count, noun, plural)} more.", cls="more") if count > 0 else None


def _doubts(facts: RunFacts) -> Html | None:
    if not facts.in_doubt:
        return None
    words = (
        "Their final dot was sent and no reply was recorded: each of these may have arrived or not. "
        "None is sent again unless you say so."
    )
    shown, more = [(one, facts.zone) for one in facts.in_doubt[:MOST_DOUBTS]], len(facts.in_doubt) - MOST_DOUBTS
    left = tag("p", f"And {more:,} more, in in-doubt.csv.", cls="more") if more > 0 else None
    return tag("div", tag("p", words, cls="quiet"), tag("ul", (_doubt(*one) for one in shown), cls="doubts"), left)


def _doubt(row: DoubtRow, zone: str) -> Html:
    return tag(
        "li",
        tag("span", formatting.people_address(row.address), cls="name"),
        tag("code", row.message_id),
        tag("span", f"number {row.number} · {row.relay} · {formatting.moment_in(row.at, zone)}", cls="quiet"),
    )


def _fine_print(facts: RunFacts) -> Html:
    run = {
        "Run": facts.run,
        "Folder": facts.folder,
        "Campaign file": facts.file,
        "Sent again": f"{formatting.counted(facts.generation - 1, 'time')} before (--again)"
        if facts.generation > 1
        else "",
        "Started": formatting.moment_in(facts.started, facts.zone),
        "Ended": formatting.moment_in(facts.ended, facts.zone),
        "Exit code": str(facts.exit_code),
        "Id in log and metrics": facts.trace_id,
    }
    return tag(
        "div",
        _details("This run", run, opened=True),
        _details("Settings", facts.settings),
        _details("What shapes a letter", facts.fingerprints, note=_FINGERPRINTS),
    )


def _details(title: str, pairs: Mapping[str, str], *, opened: bool = False, note: str = "") -> Html | None:
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs.items() if value]
    words = tag("p", note, cls="quiet") if note else None
    return tag("details", tag("summary", title), words, tag("dl", rows), open=opened) if rows else None


def _footer() -> Html:
    words = "Accepted means that the relay took the letter; it is not proof of an inbox."
    return tag("footer", tag("p", words), tag("p", "This page is one file and loads nothing."))
