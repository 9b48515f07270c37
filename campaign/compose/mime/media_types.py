"""Detects the media type of a file by its content; the suffix only distinguishes types with the same kind of content.

Nothing is decompressed, so there is no risk from decompression bombs. `file_parts.py` decides which types a letter may
contain.
"""

from __future__ import annotations

import re

UNKNOWN = "application/octet-stream"
_IMAGES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
)
_OTHERS = (
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"\x1f\x8b\x08"), "application/gzip"),
    (re.compile(rb"PK\x03\x04"), "application/zip"),
)
_OFFICE = "application/vnd.openxmlformats-officedocument"
#: Content that is a ZIP archive, by suffix.
_ARCHIVES = {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".epub": "application/epub+zip",
}
#: Content that is UTF-8 text, by suffix. HTML and SVG are excluded: opened from a letter, they execute scripts.
_TEXTS = {
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".ics": "text/calendar; charset=utf-8",
    ".vcf": "text/vcard; charset=utf-8",
    ".json": "application/json",
    ".xml": "application/xml",
}
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SVG = re.compile(rb"<(?:[a-z]{1,20}:)?svg[\s>]", re.IGNORECASE)


def image_type(content: bytes) -> str | None:
    """``"image/png"`` and the like for PNG, JPEG, GIF and WebP; None for everything else."""
    return next((kind for magic, kind in _IMAGES if magic.match(content)), None)


def is_svg(content: bytes) -> bool:
    """Whether ``content`` looks like SVG."""
    return _SVG.search(content[:4096]) is not None


def attachment_type(content: bytes, suffix: str) -> str:
    """The Content-Type of a file with this content; ``suffix`` (with its dot) refines it."""
    suffix = suffix.lower()
    known = image_type(content) or next((kind for magic, kind in _OTHERS if magic.match(content)), None)
    if known == "application/zip":
        return _ARCHIVES.get(suffix, known)
    if known is not None or suffix not in _TEXTS:
        return known or UNKNOWN
    return _TEXTS[suffix] if _is_text(content) else UNKNOWN


def _is_text(content: bytes) -> bool:
    try:
        return _CONTROLS.search(content.decode("utf-8")) is None
    except UnicodeDecodeError:
        return False
