"""Recognises the address column and the header row of a list by the usual names of such a column."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Names of an address column in several languages, without spaces, dashes and the like.
ADDRESS_NAMES = frozenset(
    """email mail emailaddress mailaddress emailaddresses emailadresse mailadresse epost epostadress epostadresse eposta
    epostaadresi courriel adresseemail adressemail adresseelectronique correo correoelectronico indirizzoemail
    emailadres mailadres adresemail adresmailowy sähköposti почта
    メールアドレス 邮箱 電子郵件 电子邮件 이메일""".split()  # noqa: SIM905
)


def means_address(header: str) -> bool:
    """Whether this header, such as ``E-Mail``, names an address column."""
    return re.sub(r"[\W_]", "", header.casefold()) in ADDRESS_NAMES


def likely_address_column(headers: Sequence[str]) -> str | None:
    """The only one of ``headers`` that names an address column; None if there is none, or more than one."""
    alike = [header for header in headers if means_address(header)]
    return alike[0] if len(alike) == 1 else None


def names_row(cells: Sequence[str], address: str) -> bool:
    """Whether a row looks like the header: one cell names the address column, and none is an address."""
    wanted = any(cell.strip() == address or means_address(cell) for cell in cells)
    return wanted and not any("@" in cell for cell in cells)
