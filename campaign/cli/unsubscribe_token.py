"""``campaign unsubscribe-token``: open a token from an unsubscribe link."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.json_output import ANYWAY, json_option, print_json
from campaign.cli.options import campaign_file, lesson
from campaign.errors import InputError
from campaign.exit_codes import ExitCode


@click.command(
    "unsubscribe-token",
    epilog=lesson(
        "campaign unsubscribe-token newsletter.toml --open pWxn...",
        codes="0 opened, 65 it is not one of this campaign's",
        more="docs/unsubscribe.md has a verifier for your own endpoint.",
    ),
)
@campaign_file()
@click.option("--open", "token", required=True, metavar="TOKEN", help="The token from the link.")
@json_option(ANYWAY, heeded=False)
def unsubscribe_token_command(file: Path, token: str) -> ExitCode:
    """Print as JSON which recipient an unsubscribe TOKEN of FILE's campaign stands for."""
    from campaign.compose.tokens.unsubscribe_token import UnsubscribeTokens
    from campaign.config import load
    from campaign.pipeline.command_context import prepare

    try:
        opened = UnsubscribeTokens(prepare(load(file)).secret).open(token)
    except ValueError as error:
        raise InputError(
            "This token was not made with this campaign's secret.",
            evidence=str(error),
            next_step="name the campaign file it was sent with, or put that campaign's secret back",
        ) from error
    facts = {"subject": opened.subject, "campaign": opened.campaign, "edition": opened.edition, "test": opened.test}
    print_json(facts)
    return ExitCode.DONE
