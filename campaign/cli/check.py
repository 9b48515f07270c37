"""``campaign check``: check everything short of sending."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from campaign import __version__
from campaign.cli.json_output import json_option, json_text
from campaign.cli.options import campaign_file, lesson
from campaign.exit_codes import ExitCode

if TYPE_CHECKING:  # the module is loaded when the command runs
    from campaign.check.dns.check_dns import DnsDigest
    from campaign.check.findings import Findings
    from campaign.check.run_checks import Digest
    from campaign.config import Settings

COLOURS = {"error": "red", "warning": "yellow", "unverified": "bright_black"}


class Place(click.ParamType[tuple[str, int]]):
    """``HOST:PORT`` or ``HOST``, as a pair; the default is the port of DNS."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Parse, or fail."""
        if isinstance(value, tuple):
            return value
        host, _, port = value.rpartition(":") if value.count(":") == 1 or "]" in value else (value, "", "")
        try:
            return str(ipaddress.ip_address(host.strip("[]"))), int(port or 53)
        except ValueError:
            self.fail(f"{value!r} is not an IP address with a port, such as 127.0.0.1:53", param, ctx)


def host_and_port(place: tuple[str, int]) -> str:
    """``("::1", 53)`` -> ``[::1]:53``."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """IP addresses, or a usage error."""
    for value in values:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not an IP address", context, parameter) from None
    return values


@click.command(
    "check",
    epilog=lesson(
        "campaign check newsletter.toml",
        "campaign check newsletter.toml --dns --links",
        "campaign check newsletter.toml --format sarif > check.sarif",
        codes="0 send can go ahead, 78 there is an error, 65 the list cannot be read",
        more="docs/check.md explains every finding.",
    ),
)
@campaign_file()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    help="Print for people, as JSON, as annotations of GitHub Actions, or as SARIF (default: text).",
)
@json_option("The same as --format json: findings and figures, one object.")
@click.option("--links", is_flag=True, help="Request the links to see whether they work (at most 200).")
@click.option(
    "--probe",
    is_flag=True,
    help="Ask the server of the unsubscribe links whether they work, with a token that stands for nobody.",
)
@click.option(
    "--dns",
    is_flag=True,
    help="Look up SPF, DKIM key, DMARC and MX of the sending domains, and each domain of the list.",
)
@click.option(
    "--ip",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    callback=address,
    help="With --dns: letters are sent from this address; may be repeated.",
)
@click.option("--resolver", type=Place(), metavar="HOST:PORT", help="With --dns: use this DNS server.")
@click.option(
    "--spam", default="", metavar="HOST:PORT", help="Score three letters with this rspamd, or with spamd://HOST:PORT."
)
@click.option("--relay", default="", metavar="URL", help="Use this relay instead of the campaign file's.")
@click.option("--no-relay", is_flag=True, help="Do not contact the relay.")
def check_command(
    file: Path,
    form: str,
    as_json: bool,
    links: bool,
    probe: bool,
    dns: bool,
    addresses: tuple[str, ...],
    resolver: tuple[str, int] | None,
    spam: str,
    relay: str,
    no_relay: bool,
) -> ExitCode:
    """Read, screen and render every row of FILE's list, inspect the letters, greet the relay. Nothing is sent.

    Each finding names its rows and what to do. Whatever was not checked is listed as unverified, never as passed.
    """
    from campaign.check.dns.check_dns import DnsWishes
    from campaign.check.run_checks import CheckOptions, check
    from campaign.config import load
    from campaign.pipeline.command_context import Options, lay_over, prepare
    from campaign.report.live.console import Console

    job = prepare(lay_over(load(file), Options(relay=relay)))
    flags = {"--links": links, "--probe": probe, "--dns": dns, "--no-relay": no_relay}
    looking = [name for name, given in flags.items() if given] + [f"--ip={one}" for one in addresses]
    looking += [f"--resolver={host_and_port(resolver)}"] if resolver else []
    looking += [f"--spam={spam}"] if spam else []
    wishes = CheckOptions(not no_relay, links, DnsWishes(resolver, addresses) if dns else None, spam, probe)
    findings, digest = check(job, Console(), wishes)
    form = "json" if as_json else form
    if form == "text":
        click.echo("\n".join(for_people(findings, digest, advice(findings, str(file), relay, looking))))
    else:
        click.echo("\n".join(for_programs(form, findings, digest, job.settings)))
    return ExitCode.DONE if findings.sound else ExitCode.BAD_CONFIG


def for_people(findings: Findings, digest: Digest, next_step: str) -> Iterator[str]:
    """The findings, the figures, and what to do next."""
    from campaign.check.findings import WIDTH
    from campaign.report.live.terminal_width import fitted, width_of
    from campaign.report.printed_commands import typeable

    width = width_of(sys.stdout)
    yield from map(coloured, typeable(findings.render_text(digest.rendered, width or WIDTH)).splitlines())
    yield from (fitted(line, width) for line in summary(digest))
    yield fitted(typeable(f"{findings.counts()} {next_step}"), width)


def for_programs(form: str, findings: Findings, digest: Digest, settings: Settings) -> Iterator[str]:
    """The findings in a form that other programs read."""
    from campaign.check.output.github_annotations import github_annotations
    from campaign.check.output.sarif_log import sarif_log

    if form == "github":
        yield from github_annotations(findings, settings, digest.rendered)
    elif form == "sarif":
        sarif = sarif_log(findings, settings, digest.rendered, __version__)
        yield json_text(sarif, sys.stdout.encoding, indent=2)
    else:
        yield json_text(
            {**findings.render_json(), "digest": msgspec.to_builtins(digest)}, sys.stdout.encoding, indent=2
        )


def coloured(line: str) -> str:
    """The severity at the start of a line in its colour; on a terminal only, by click."""
    word = line.partition(" ")[0]
    return click.style(word, fg=COLOURS[word], bold=True) + line[len(word) :] if word in COLOURS else line


def summary(digest: Digest) -> list[str]:
    """The figures of a check, a line each."""
    from campaign.report.formatting import duration_text, people_address, printable, size
    from campaign.report.summary import rows_text

    books = asdict(digest.books)
    aside = ", ".join(
        f"{count:,} {name}" for name, count in books.items() if count and name not in ("read", "further", "planned")
    )
    least = "as fast as the relay takes them" if digest.seconds is None else f"at least {duration_text(digest.seconds)}"
    samples = ", ".join(map(people_address, digest.samples))
    lines = [
        f"list     {rows_text(digest.books)}: {digest.books.planned:,} planned" + (f"; {aside}" if aside else ""),
        f"such as  {samples}",
        *(f"note     {remark}" for remark in digest.remarks),
        f"columns  {', '.join(digest.columns)}",
        f"letters  {digest.rendered:,} rendered, {digest.kinds:,} of them read closely; largest {size(digest.largest)}",
    ]
    lines += [f"relay    {name}: {said}" for name, said in digest.relays.items()]
    lines += domain_figures(digest.dns) if digest.dns else []
    lines.append(f"time     {least} (rate: {digest.rate}); this check took {duration_text(digest.took)}")
    return ["", *map(printable, lines)]


def domain_figures(dns: DnsDigest) -> list[str]:
    """Which domains of the list accept mail, and how many letters each provider gets."""
    from campaign.report.formatting import counted

    dead = (
        f"; {counted(len(dns.dead), 'domain')} with {counted(sum(dns.dead.values()), 'letter')} dead"
        if dns.dead
        else ""
    )
    volumes = [
        f"{title} {one.letters:,}" + (f" ({one.a_day:,.0f} a day)" if round(one.a_day) < one.letters else "")
        for title, one in dns.providers.items()
    ]
    return [f"domains  {dns.answered:,} of {dns.domains:,} answered{dead}", f"volume   {', '.join(volumes)}"]


def advice(findings: Findings, file: str, relay: str, looking: Sequence[str]) -> str:
    """What to type next; ``looking``: the options that selected what this check covered."""
    from campaign.report.printed_commands import command_text

    if findings.sound:
        return f"Next: {command_text('preview', file)}, then {command_text('send', file, relay)}"
    return f"Correct the errors, then: {command_text('check', file, relay, looking)}"
