"""Which columns of a list hold the address, the name, and an invoice's number: by their headers and their cells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from campaign.audience.columns.address_column import means_address
from campaign.audience.columns.column_types import text_cell
from campaign.audience.screening.addresses import Refusal, parse_address
from campaign.audience.screening.invalid_row_limit import MORE_THAN_AN_ADDRESS
from campaign.model import Value

#: Headers in several languages, without spaces, dashes and the like.
FULL_NAMES = frozenset(
    """fullname displayname recipientname customername contactname membername subscribername guestname clientname
    vollständigername vollername anzeigename kundenname kontaktname empfängername ansprechpartner nomcomplet
    nomprénom prénomnom nombrecompleto nomecompleto nomecognome volledigenaam fulltnamn koskonimi imięinazwisko
    姓名 氏名 名前 お名前 이름 성명 фио полноеимя""".split()  # noqa: SIM905
)
FIRST_NAMES = frozenset(
    """firstname givenname forename fname prename vorname rufname prénom prenom nombre nome voornaam förnamn fornavn
    etunimi imię имя 名""".split()  # noqa: SIM905
)
#: Headers that mean the whole name in a list without a column of first names, and the surname in others.
NAMES = frozenset("name nom naam namn navn nimi nazwa".split())  # noqa: SIM905
SURNAMES = frozenset(
    """lastname surname familyname lname nachname familienname zuname nomdefamille apellido apellidos cognome sobrenome
    achternaam efternamn etternavn sukunimi nazwisko фамилия 姓""".split()  # noqa: SIM905
)
INVOICES = frozenset(
    """invoice invoiceid invoiceno invoicenr invoicenumber bill billno billnumber rechnung rechnungsnr rechnungsnummer
    belegnr belegnummer facture nofacture numérofacture numérodefacture nfacture factura númerofactura
    númerodefactura nofactura fattura numerofattura factuurnummer fakturanummer fakturanr fakturanumer numerfaktury
    发票号码 发票号 請求書番号""".split()  # noqa: SIM905
)
#: Share of the cells that must be addresses for a column without a telling header.
MOSTLY = 0.5


def bare_name(header: str) -> str:
    """``First Name`` -> ``firstname``."""
    return re.sub(r"[\W_]", "", header.casefold())


def column_named(headers: Sequence[str], names: frozenset[str]) -> int | None:
    """The place of the first header among ``names``."""
    return next((at for at, header in enumerate(headers) if bare_name(header) in names), None)


def name_columns(headers: Sequence[str]) -> tuple[int | None, int | None]:
    """The column for To and the column for the greeting: the whole name and the first name, as far as there are."""
    first = column_named(headers, FIRST_NAMES)
    full = column_named(headers, FULL_NAMES)
    if full is None and first is None:
        full = column_named(headers, NAMES)
    return (first if full is None else full), (full if first is None else first)


def is_name(header: str) -> bool:
    """Whether a column holds a name or a part of one."""
    return bare_name(header) in FULL_NAMES | FIRST_NAMES | NAMES | SURNAMES


def address_place(headers: Sequence[str], rows: Sequence[Sequence[Value]]) -> int | None:
    """The column of addresses: the first that is named so and mostly holds them, or the one with the most; or None."""
    named = [at for at, header in enumerate(headers) if means_address(header)]
    if named:
        return next((at for at in named if _share(at, rows) > MOSTLY), named[0])
    share, place = max(((_share(at, rows), -at) for at in range(len(headers))), default=(0.0, 0))
    return -place if share > MOSTLY else None


def _share(at: int, rows: Sequence[Sequence[Value]]) -> float:
    """The share of a column's cells that hold an address; blank cells do not count."""
    cells = [text for row in rows if (text := str(text_cell(row[at])).strip())]
    return sum(map(holds_address, cells)) / len(cells) if cells else 0.0


def holds_address(cell: str) -> bool:
    """Whether a cell is an address, or holds one beside other text."""
    found = parse_address(cell)
    return not isinstance(found, Refusal) or MORE_THAN_AN_ADDRESS.match(found.reason) is not None
