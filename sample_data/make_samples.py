# noqa: INP001 - a folder of data with one script in it, not a package
"""Makes the sample data afresh: ``python sample_data/make_samples.py [FOLDER]`` (default: this folder).

The results are kept under version control, and a test makes them again and compares. To change the data, change
`generator/` and run this; `ABOUT.md` is made along with it, so that its line numbers are right.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generator import about, invoice_pdf, recipients, shop


def main(folder: Path) -> None:
    """Writes every made file into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    placed = recipients.write(folder)
    shop.write(folder)
    for invoice in shop.invoices():
        invoice_pdf.write(folder, invoice)
    about.write(folder, placed)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
