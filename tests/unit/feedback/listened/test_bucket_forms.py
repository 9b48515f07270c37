"""How a bucket is named in a url, and the XML that it answers: what is read, and what is refused."""

from __future__ import annotations

import pytest

from campaign.errors import ConfigError
from campaign.feedback.listened.bucket_address import parse_bucket_url
from campaign.feedback.listened.bucket_answer import BucketError, BucketObject, read_bucket_error, read_page


@pytest.mark.parametrize(
    ("url", "host", "path", "prefix", "region"),
    [
        ("s3://events?region=eu-west-1", "events.s3.eu-west-1.amazonaws.com", "/", "", "eu-west-1"),
        ("s3://events/a/b/?region=eu-west-1", "events.s3.eu-west-1.amazonaws.com", "/", "a/b/", "eu-west-1"),
        ("s3://e.x/a?region=eu-west-1", "s3.eu-west-1.amazonaws.com", "/e.x/", "a/", "eu-west-1"),
        ("s3://events?region=cn-north-1", "events.s3.cn-north-1.amazonaws.com.cn", "/", "", "cn-north-1"),
        ("s3://events?endpoint=https://minio.example:9000", "minio.example:9000", "/events/", "", "us-east-1"),
        ("s3://events?endpoint=https://s3.example/&region=garage", "s3.example", "/events/", "", "garage"),
    ],
)
def test_a_url_names_a_bucket_its_region_and_its_server(
    url: str, host: str, path: str, prefix: str, region: str
) -> None:
    found = parse_bucket_url(url, {})
    assert (found.host, found.path, found.prefix, found.region) == (host, path, prefix, region)


def test_the_region_may_be_in_the_environment_and_the_url_comes_first() -> None:
    variables = {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "us-west-1"}
    assert parse_bucket_url("s3://events", variables).region == "eu-north-1"
    assert parse_bucket_url("s3://events", {**variables, "AWS_REGION": ""}).region == "us-west-1"
    assert parse_bucket_url("s3://events?region=sa-east-1", variables).region == "sa-east-1"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3://", "no s3://BUCKET"),
        ("s3://key:secret@events", "no s3://BUCKET"),
        ("s3://events/../x?region=a", "no prefix"),
        ("s3://events/a//b?region=a", "no prefix"),
        ("s3://events/é?region=a", "no prefix"),
        ("s3://events", "neither region= in it nor AWS_REGION"),
        ("s3://events?region=EU/west", "no region"),
        ("s3://events?region=a&style=path", "'style' is no option"),
        ("s3://events?region", "bad query field"),
        ("s3://events?endpoint=http://minio.example", "no https://HOST"),
        ("s3://events?endpoint=https://minio.example/path", "no https://HOST"),
        ("s3://events?endpoint=https://u@minio.example", "no https://HOST"),
        ("s3://events?endpoint=https://minio.example:0x", "Port could not be cast"),
        ("s3://events?region=a#x", "no s3://BUCKET"),
    ],
)
def test_a_url_that_names_none_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match="names no bucket") as told:
        parse_bucket_url(url, {})
    assert why in str(told.value)


def test_a_page_has_objects_and_the_token_of_the_next() -> None:
    text = (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true'
        "</IsTruncated><Contents><Size>7</Size><Key>a%2Fb%00&amp;</Key><Owner><ID>1</ID></Owner></Contents>"
        "<CommonPrefixes><Prefix>a/c/</Prefix></CommonPrefixes>"
        "<NextContinuationToken>x+/=</NextContinuationToken></ListBucketResult>"
    )
    assert read_page(text.encode()) == ([BucketObject("a/b\0&", 7)], "x+/=")
    assert read_page(text.replace("true", "false").encode()).following == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no XML",
        "<html/>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>many</Size></Contents></ListBucketResult>",
        "<ListBucketResult>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>',
        "<a>" * 11 + "</a>" * 11,
    ],
)
def test_what_is_no_page_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_page(text.encode())


def test_an_error_has_its_name_and_its_region_and_anything_else_has_none() -> None:
    text = b"<Error><Code>A</Code><Message>b</Message><Region>eu-west-1</Region></Error>"
    assert read_bucket_error(text) == ("A", "b", "eu-west-1")
    assert read_bucket_error(b"<html>nothing here") == BucketError()
