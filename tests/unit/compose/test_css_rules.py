"""Style sheets taken apart: rules, groups, imports, nesting, and everything that people get wrong in them."""

from __future__ import annotations

import pytest

from campaign.compose.html.css.css_rules import Group, StyleRule, declarations, parse_sheet, split


def told(css: str, sheets: dict[str, str] | None = None) -> str:
    """The rules in a short form."""

    def read(name: str):
        return (sheets[name], read) if sheets and name in sheets else None

    def one(node: object) -> str:
        if isinstance(node, StyleRule):
            inner = ";".join(d.name + ":" + d.value + ("!" if d.important else "") for d in node.declarations)
            return f"{','.join(node.selectors)}{{{inner}}}"
        if isinstance(node, Group):
            return f"{node.prelude}[{' '.join(map(one, node.nodes))}]"
        return str(node)

    sheet = parse_sheet(css, read)
    return " ".join([*sheet.imports, *map(one, sheet.nodes)])


@pytest.mark.parametrize(
    ("css", "rules"),
    [
        ("p { color: red }", "p{color:red}"),
        ("p{color:red;;margin:0!important;}", "p{color:red;margin:0!}"),
        ("p{COLOR:Red;--Brand:X}", "p{color:Red;--Brand:X}"),
        ("p{color:red ! important}", "p{color:red!}"),
        ("<!-- p{color:red} -->", "p{color:red}"),
        ("/* p{} */ i{color:red /* ; */; top:0}", "i{color:red;top:0}"),
        ("@charset 'utf-8'; p{top:0}", "p{top:0}"),
        ("@font-face { src: url(a;b) } p{top:0}", "@font-face { src: url(a;b) } p{top:0}"),
        ("@media x { p{top:0} @supports (a:b) { i{top:1px} } }", "@media x[p{top:0} @supports (a:b)[i{top:1px}]]"),
        ("@layer a, b; p{top:0}", "@layer a, b; p{top:0}"),
        ("a::before{content:'}';top:0}", "a::before{content:'}';top:0}"),
        ("p{background:url(data:image/png;base64,AA==);top:0}", "p{background:url(data:image/png;base64,AA==);top:0}"),
        ('p{font-family:"a;b",c;top:0}', 'p{font-family:"a;b",c;top:0}'),
        (r"p{content:'\';';top:0}", r"p{content:'\';';top:0}"),
        (".sm\\:x{top:0}", ".sm\\:x{top:0}"),
    ],
)
def test_a_sheet_is_read_as_a_browser_reads_it(css, rules):
    assert told(css) == rules


@pytest.mark.parametrize(
    ("css", "rules"),
    [
        ("p { color: red", "p{color:red}"),
        ("} p { color: red } i{top:0}", "i{top:0}"),
        ("a; p{color:red} i{top:0}", "a; p{color:red} i{top:0}"),
        ("p, { color: red } i{top:0}", "i{top:0}"),
        ("p{color} i{top:0}", "p{} i{top:0}"),
        ("p{color:;top:0}", "p{top:0}"),
        ('p{font-family:"x\n;top:0}', "p{top:0}"),
        ("{top:0} i{top:0}", "i{top:0}"),
        ("@media {", "@media[]"),
        (";;{}", ";;{}"),
    ],
)
def test_what_is_broken_is_broken_as_in_a_browser(css, rules):
    assert told(css) == rules


@pytest.mark.parametrize(
    ("css", "rules"),
    [
        (".a{color:red;&:hover{top:0}}", ".a{color:red} .a:hover{top:0}"),
        (".a{.b &{top:0} > p{top:1px} .c{top:2px}}", ".b .a{top:0} .a > p{top:1px} .a .c{top:2px}"),
        (
            ".a{top:0;@media (x){top:1px;i{top:2px}}left:0}",
            ".a{top:0} @media (x)[.a{top:1px} .a i{top:2px}] .a{left:0}",
        ),
        (".a,.b{i,&.c{top:0}}", ".a i,.b i,.a.c,.b.c{top:0}"),
        (".a .b{.c &{top:0}}", ".c :is(.a .b){top:0}"),
        (".a{&[title='&']{top:0}}", ".a[title='&']{top:0}"),
        (".a{--x:{top:0};left:0}", ".a{--x:{top:0};left:0}"),
    ],
)
def test_nested_rules_are_flattened(css, rules):
    assert told(css) == rules


def test_lists_in_lists_in_lists_end():
    css = ".a,.b,.c,.d,.e,.f,.g,.h{"
    assert len(told(css * 7 + "top:0" + "}" * 7)) < 200_000


def test_an_imported_sheet_stands_where_it_was_imported():
    sheets = {"a.css": "@import 'b.css'; p{top:0}", "b.css": "i{top:0}", "c.css": "b{top:0}"}
    assert told("@import 'a.css'; @import url(c.css) screen; u{top:0}", sheets) == (
        "i{top:0} p{top:0} @media screen[b{top:0}] u{top:0}"
    )


def test_an_import_behind_a_rule_does_not_count():
    assert told("p{top:0} @import 'a.css';", {"a.css": "i{top:0}"}) == "p{top:0}"


def test_an_import_of_an_address_comes_first():
    assert told("@import 'a.css'; @import url(https://x/y.css);", {"a.css": "i{top:0}"}) == (
        "@import url(https://x/y.css); i{top:0}"
    )


def test_a_declaration_is_written_as_its_author_wrote_it():
    [one] = declarations(" Color :  RED  !important ")
    assert one.written(important=False) == "Color :  RED"
    assert one.written(important=True) == "Color :  RED !important"


def test_text_is_split_outside_of_strings_and_brackets_only():
    assert split("a, b(c, d), [e=','], 'f,g', /* h, */ i", ",") == ["a", "b(c, d)", "[e=',']", "'f,g'", "i"]
