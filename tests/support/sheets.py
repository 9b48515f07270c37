"""Workbooks written by hand, for what no spreadsheet program would write."""

from __future__ import annotations

import zipfile
from pathlib import Path

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def cell(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def excel(path: Path, *rows: str, **parts: str) -> Path:
    """A workbook of one sheet, People; ``rows`` are its XML, ``parts`` further files under xl/."""
    files = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{DOCUMENT}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{DOCUMENT}"><sheets>'
        '<sheet name="People" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1"'
        f' Type="{DOCUMENT}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(rows)}</sheetData></worksheet>',
        **{f"xl/{name}.xml": text for name, text in parts.items()},
    }
    return _packed(path, files)


def open_document(path: Path, *rows: str) -> Path:
    """The same for LibreOffice."""
    content = f'<table:table table:name="People">{"".join(rows)}</table:table>'
    namespaces = 'xmlns:office="urn:o" xmlns:table="urn:t" xmlns:text="urn:x"'
    files = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "META-INF/manifest.xml": '<manifest:manifest xmlns:manifest="urn:m"/>',
        "content.xml": f"<office:document-content {namespaces}><office:body><office:spreadsheet>{content}"
        "</office:spreadsheet></office:body></office:document-content>",
    }
    return _packed(path, files)


def ods_row(*texts: str, repeated: int = 1) -> str:
    cells = "".join(f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
                    for text in texts)  # fmt: skip
    return f'<table:table-row table:number-rows-repeated="{repeated}">{cells}</table:table-row>'


def _packed(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path
