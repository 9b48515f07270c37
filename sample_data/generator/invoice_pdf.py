"""One invoice as a PDF of a single page, written by hand: two standard fonts, text, a few lines, nothing compressed."""

from __future__ import annotations

from pathlib import Path

from generator.shop import Invoice

PAGE = (595, 842)  # A4 in points
LEFT, RIGHT = 64, 531
NAVY, RUST, GREY, GOLD = "0.09 0.13 0.25", "0.65 0.26 0.12", "0.40 0.42 0.50", "0.97 0.78 0.40"
#: Widths in Helvetica, in thousandths of its size, of what ends at an edge and is not 556 wide as digits are.
WIDTHS = {" ": 278, ",": 278, ".": 278, "t": 278, "i": 222, "c": 500, "y": 500, "E": 667, "A": 667, "Q": 778, "m": 833}


def write(folder: Path, invoice: Invoice) -> None:
    """Writes ``invoices/NUMBER.pdf`` under ``folder``."""
    path = folder / "invoices" / f"{invoice.number}.pdf"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_file(_content(invoice), f"Invoice {invoice.number}"))


def money(cents: int) -> str:
    """``123456`` -> ``"€ 1,234.56"``."""
    return f"€ {cents // 100:,}.{cents % 100:02d}"


def _content(invoice: Invoice) -> str:
    _, name, _, city, country = invoice.customer
    parts = [
        f"{NAVY} rg 0 762 595 80 re f",
        f"{GOLD} rg 64 786 m 64 809 100 809 100 786 c f 60 780 44 5 re f",
        _text(118, 797, 17, "Lantern Hill Observatory", bold=True, colour="1 1 1"),
        _text(118, 780, 10, "The little shop under the dome", colour="1 1 1"),
        _text(LEFT, 708, 24, "Invoice", bold=True),
        _text(LEFT, 684, 11, invoice.number, colour=RUST, bold=True),
        _text(LEFT, 648, 9, "For", colour=GREY),
        _text(LEFT, 632, 12, name, bold=True),
        _text(LEFT, 616, 11, f"{city}, {country}"),
        _text(360, 648, 9, "Issued", colour=GREY),
        _text(360, 632, 11, invoice.issued),
        _text(450, 648, 9, "Please pay by", colour=GREY),
        _text(450, 632, 11, invoice.due, bold=True),
        _text(LEFT, 576, 9, "Article", colour=GREY),
        *[_right(x, 576, 9, what) for x, what in ((380, "Quantity"), (455, "Each"), (RIGHT, "Amount"))],
        _rule(568, 1),
    ]
    y = 548
    for line in invoice.lines:
        parts += [_text(LEFT, y, 11, line.article), _right(380, y, 11, str(line.quantity))]
        parts += [
            _right(455, y, 11, money(line.unit_cents)),
            _right(RIGHT, y, 11, money(line.cents)),
            _rule(y - 9, 0.3),
        ]
        y -= 26
    parts += [
        _text(LEFT, y - 12, 13, "Total", bold=True),
        _right(RIGHT, y - 12, 13, money(invoice.cents), bold=True),
        _text(LEFT, 96, 9, "All prices include value added tax. Account: EXAMPLE 0000 0000 0000.", colour=GREY),
        _text(
            LEFT,
            82,
            9,
            "Lantern Hill Observatory, 1 Example Lane, Exampleton. Thank you, and clear skies.",
            colour=GREY,
        ),
    ]
    return "\n".join(parts)


def _text(x: float, y: float, size: int, text: str, *, bold: bool = False, colour: str = NAVY) -> str:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT {colour} rg /{'B' if bold else 'R'} {size} Tf {x:.2f} {y:.2f} Td ({escaped}) Tj ET"


def _right(x: float, y: float, size: int, text: str, *, bold: bool = False) -> str:
    """Text that ends at ``x``; exact for amounts and the headings above them."""
    width = sum(WIDTHS.get(character, 556) for character in text) * size / 1000
    return _text(x - width, y, size, text, bold=bold, colour=NAVY if size > 9 else GREY)


def _rule(y: float, width: float) -> str:
    return f"{GREY} RG {width} w {LEFT} {y} m {RIGHT} {y} l S"


def _file(content: str, title: str) -> bytes:
    """The objects one after the other, then the table of where they begin."""
    stream = content.encode("cp1252")
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica%s /Encoding /WinAnsiEncoding >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en) /ViewerPreferences << /DisplayDocTitle true >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE[0]} {PAGE[1]}] /Contents 4 0 R "
        "/Resources << /Font << /R 5 0 R /B 6 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
        (font % "").encode(),
        (font % "-Bold").encode(),
        f"<< /Title ({title}) /Author (Lantern Hill Observatory) >>".encode(),
    ]
    out, starts = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, 1):
        starts.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % start for start in starts)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 7 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)
