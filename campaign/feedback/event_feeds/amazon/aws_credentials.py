"""Finds the access key for Amazon Web Services: in the environment, else in a password of the campaign file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from campaign.errors import ConfigError
from campaign.system.aws_signature import AwsCredentials

ID, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"


class KeyPlace(NamedTuple):
    """What a key opens, which setting holds it if the environment does not, and the form of its first part."""

    opens: str
    setting: str
    key_id: str = r"[A-Za-z0-9._-]{3,128}"


QUEUE_KEY = KeyPlace("the queue at Amazon", "password_file of this [[feedback.source]]", r"[A-Z0-9]{16,128}")


def find_aws_credentials(
    environment: Mapping[str, str], password: Callable[[], str] | None, place: KeyPlace = QUEUE_KEY
) -> AwsCredentials:
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
            f"There is no access key for {place.opens}.",
            evidence=f"neither {ID} and {SECRET} nor {place.setting} is set",
            next_step=f"export {ID}=… {SECRET}=…, or write KEYID:SECRET into a file, chmod 600 it, and name it as "
            f"{place.setting.partition(' ')[0]}",
        )
    if found := re.fullmatch(rf"({place.key_id}):(\S{{1,200}})", password().strip()):
        return AwsCredentials(*found.groups())
    raise ConfigError(
        f"What {place.setting} gives is no access key for {place.opens}.",
        evidence="it should be KEYID:SECRET, such as AKIA…:wJalr…",
        next_step="write both parts there, joined by a colon, as the console showed them when the key was made",
    )
