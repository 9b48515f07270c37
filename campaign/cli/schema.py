"""``campaign schema``: print the JSON Schema of the campaign file."""

from __future__ import annotations

import click

from campaign.cli.json_output import ANYWAY, json_option
from campaign.cli.options import lesson
from campaign.exit_codes import ExitCode


@click.command(
    "schema",
    epilog=lesson(
        "campaign schema > campaign.schema.json",
        codes="0 printed",
        more="docs/guide.md says how an editor uses it.",
    ),
)
@json_option(ANYWAY, heeded=False)
def schema_command() -> ExitCode:
    """Print the JSON Schema of the campaign file, from which an editor completes, explains and checks its keys.

    Begin the campaign file with the line `#:schema ./campaign.schema.json`. After an update of this program, print the
    schema again.
    """
    from campaign.config import SCHEMA

    click.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)
    return ExitCode.DONE
