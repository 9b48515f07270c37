"""``campaign listen``: take unsubscribes by one click, and webhooks, on a public host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import click

from campaign.cli.json_output import json_option, print_json
from campaign.cli.options import lesson
from campaign.errors import ConfigError
from campaign.exit_codes import ExitCode


@click.command(
    "listen",
    epilog=lesson(
        "campaign listen listen.toml",
        "campaign listen listen.toml --host 0.0.0.0 --port 8025",
        codes="0 ended by SIGTERM or SIGINT, 73 nothing can be stored there or the port is in use, "
        "78 the listen file is wrong",
        more="docs/listen.md",
    ),
)
@click.argument("file", type=click.Path(readable=False, path_type=Path), metavar="FILE")
@click.option("--host", metavar="ADDRESS", help="Listen on this address instead of the file's.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), help="Listen on this port; 0 chooses a free one.")
@json_option()
def listen_command(file: Path, host: str | None, port: int | None, as_json: bool) -> ExitCode:
    """Answer unsubscribe links and webhooks, and store each durably before the answer, until a signal ends it.

    FILE is a listen file, as docs/listen.md shows it. `campaign collect` fetches what was stored. This host needs no
    campaign file and no secret of a campaign.
    """
    from campaign.config.listen.listen_file import load_listen

    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load_listen(file, changes)
    try:
        from campaign.listen.listen_state import open_state
        from campaign.listen.serve import run_service
    except ModuleNotFoundError as error:
        raise ConfigError(
            "campaign listen needs Starlette and uvicorn.",
            evidence=str(error),
            next_step="pip install '.[listen]'",
        ) from None

    campaign = settings.listen.campaign
    state = open_state(settings, knows=known_tokens(settings.path(campaign)) if campaign else None)

    def began(at: str, bound: int) -> None:
        if as_json:
            print_json({"host": at, "port": bound, "events": settings.place})
        else:
            with contextlib.suppress(OSError):
                click.echo(f"listening on http://{at}:{bound}, storing in {settings.place}", err=True)

    run_service(settings.listen, state, began)
    return ExitCode.DONE


def known_tokens(file: Path) -> Callable[[str], bool]:
    """Whether a token was made with the secret of the campaign file. Raises ConfigError."""
    from campaign.compose.tokens.unsubscribe_token import UnsubscribeTokens
    from campaign.config import load
    from campaign.pipeline.command_context import prepare

    tokens = UnsubscribeTokens(prepare(load(file)).secret)

    def knows(token: str) -> bool:
        try:
            tokens.open(token)
        except ValueError:
            return False
        return True

    return knows
