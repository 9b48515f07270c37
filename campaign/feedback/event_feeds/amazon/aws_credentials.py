"""Finds the access key for Amazon Web Services: in the environment, else in a password of the campaign file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from campaign.errors import ConfigError
from campaign.system.aws_signature import AwsCredentials

ID, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"

_KEY = re.compile(r"([A-Z0-9]{16,128}):(\S{1,200})")


def find_aws_credentials(environment: Mapping[str, str], password: Callable[[], str] | None) -> AwsCredentials:
    """The key in the environment, else the one that ``password`` returns as ``KEYID:SECRET``.

    Raises ConfigError if there is none, or only half of one.
    """
    key_id, secret = environment.get(ID, "").strip(), environment.get(SECRET, "").strip()
    if key_id and secret:
        return AwsCredentials(key_id, secret, environment.get(TOKEN, "").strip())
    if key_id or secret:
        there, missing = (ID, SECRET) if key_id else (SECRET, ID)
        raise ConfigError(
            "Half of an access key for Amazon is in the environment.",
            evidence=f"{there} is set, {missing} is not",
            next_step=f"export {missing}=…, or unset {there}",
        )
    if password is None:
        raise ConfigError(
            "There is no access key for the queue at Amazon.",
            evidence=f"neither {ID} and {SECRET} nor password_file of this [[feedback.source]] is set",
            next_step=f"export {ID}=… {SECRET}=…, or write KEYID:SECRET into a file, chmod 600 it, and name it as "
            "password_file",
        )
    if found := _KEY.fullmatch(password().strip()):
        return AwsCredentials(*found.groups())
    raise ConfigError(
        "What password_file or password_command of this [[feedback.source]] gives is no access key for Amazon.",
        evidence="it should be KEYID:SECRET, such as AKIA…:wJalr…",
        next_step="write both parts there, joined by a colon, as the console showed them when the key was made",
    )
