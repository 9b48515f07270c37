"""Reads the XML that a bucket answers: a page of its list of objects, or an error."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote
from xml.parsers import expat

#: How deep elements may be in each other, and the most of them: a page has 1,000 objects.
DEEPEST, MOST_ELEMENTS = 10, 100_000


class BucketObject(NamedTuple):
    """An object in a bucket."""

    key: str
    size: int


class BucketPage(NamedTuple):
    """A page of the list. ``following`` is the token that asks for the next page; empty at the end."""

    objects: list[BucketObject]
    following: str


class BucketError(NamedTuple):
    """An error: its name, what it says, and the region that it names. All may be empty."""

    code: str = ""
    message: str = ""
    region: str = ""


def read_page(content: bytes) -> BucketPage:
    """The page in an answer. Raises ValueError."""
    objects: list[BucketObject] = []
    found: dict[str, str] = {}
    last: dict[str, str] = {}
    root = ""
    for path, text in _elements(content):
        root, _, below = path.partition("/")
        if below == "Contents":
            objects.append(BucketObject(unquote(found.pop("Key", "")), int(found.pop("Size", ""))))
        elif below.startswith("Contents/"):
            found[below.removeprefix("Contents/")] = text
        else:
            last[below] = text
    if root != "ListBucketResult":
        raise ValueError("its answer is no list of objects")
    truncated, following = last.get("IsTruncated") == "true", last.get("NextContinuationToken", "")
    if truncated and not following:
        raise ValueError("its list does not say how it goes on")
    return BucketPage(objects, following if truncated else "")


def read_bucket_error(content: bytes) -> BucketError:
    """The error in an answer; an empty one if there is none."""
    try:
        found = dict(_elements(content))
    except ValueError:
        return BucketError()
    code, message, region = (found.get(f"Error/{name}", "") for name in ("Code", "Message", "Region"))
    return BucketError(code, message, region)


def _elements(content: bytes) -> list[tuple[str, str]]:
    """The path of each element, and its own text, in the order in which they end. Raises ValueError."""
    found: list[tuple[str, str]] = []
    open_ones: list[tuple[str, list[str]]] = []

    def begin(name: str, _: object) -> None:
        if len(open_ones) >= DEEPEST or len(found) >= MOST_ELEMENTS:
            raise ValueError("its answer is no XML of a bucket")
        above = f"{open_ones[-1][0]}/" if open_ones else ""
        open_ones.append((above + name.rpartition(":")[2], []))

    def end(_: str) -> None:
        path, texts = open_ones.pop()
        found.append((path, "".join(texts)))

    def text(data: str) -> None:
        open_ones[-1][1].append(data)

    def doctype(*_: object) -> None:
        raise ValueError("its answer declares entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"its answer is no XML: {error}") from None
    return found
