"""Requests are signed as Amazon's published examples and its own library sign them."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.system.aws_signature import AwsCredentials, SigningScope, sign_request, signed_query

KEY = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
EXAMPLE_TIME = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC).timestamp()
TOKEN = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="  # noqa: E501


@pytest.mark.parametrize(
    ("name", "method", "headers", "body", "signature"),
    [
        ("get-vanilla", "GET", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("post-vanilla", "POST", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "post-x-www-form-urlencoded",
            "POST",
            {"Content-Type": "application/x-www-form-urlencoded"},
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_the_examples_that_amazon_publishes(
    name: str, method: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    signed = sign_request(
        {"Host": "example.amazonaws.com", **headers},
        body,
        KEY,
        SigningScope("us-east-1", "service"),
        EXAMPLE_TIME,
        method=method,
    )
    names = "content-type;host;x-amz-date" if headers else "host;x-amz-date"
    assert signed["X-Amz-Date"] == "20150830T123600Z"
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    ), name


@settings(max_examples=50, deadline=None)
@given(
    body=st.binary(max_size=200),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=50),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    token=st.sampled_from(["", TOKEN]),
    region=st.sampled_from(["eu-west-1", "us-gov-west-1", "cn-north-1"]),
    now=st.integers(0, 4_000_000_000),
)
def test_amazons_own_library_signs_the_same(
    body: bytes, value: str, secret: str, token: str, region: str, now: int
) -> None:
    headers = {
        "Host": f"sqs.{region}.amazonaws.com",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": value,
    }
    ours = sign_request(headers, body, AwsCredentials("AKID", secret, token), SigningScope(region, "sqs"), now)
    assert ours["Authorization"] == by_botocore(headers, body, Credentials("AKID", secret, token or None), region, now)
    assert ours.get("X-Amz-Security-Token", "") == token


def by_botocore(headers: dict[str, str], body: bytes, key: Credentials, region: str, now: float) -> str:
    request = AWSRequest("POST", f"https://sqs.{region}.amazonaws.com/", headers=dict(headers), data=body)
    stamp = dt.datetime.fromtimestamp(now, dt.UTC).strftime(auth.SIGV4_TIMESTAMP)
    request.context["timestamp"] = stamp
    signer = auth.SigV4Auth(key, "sqs", region)
    request.headers["X-Amz-Date"] = stamp
    if key.token:
        request.headers["X-Amz-Security-Token"] = key.token
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return request.headers["Authorization"]


@settings(max_examples=50, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
    body=st.binary(max_size=50),
    query=st.dictionaries(st.sampled_from(["prefix", "list-type", "continuation-token"]), st.text(max_size=20)),
)
def test_amazons_own_library_signs_requests_to_a_bucket_the_same(
    method: str, body: bytes, query: dict[str, str]
) -> None:
    now, path = 1_795_000_000, "/events/news/0000000000001-0a.jsonl"
    headers = {"Host": "s3.eu-west-1.amazonaws.com", "Range": "bytes=0-9"}
    ours = sign_request(headers, body, KEY, SigningScope("eu-west-1", "s3"), now, method=method, path=path, query=query)
    request = AWSRequest(method, f"https://{headers['Host']}{path}", dict(headers), body, params=query)
    stamp = ours["X-Amz-Date"]
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    signer = auth.S3SigV4Auth(Credentials(KEY.key_id, KEY.secret), "s3", "eu-west-1")
    request.headers["X-Amz-Content-SHA256"] = ours["X-Amz-Content-SHA256"]
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["Authorization"].endswith(f"Signature={expected}")


def test_a_query_is_sent_in_the_form_that_is_signed() -> None:
    assert (
        signed_query({"prefix": "a/b c~", "list-type": "2", "x": "+é"}) == "list-type=2&prefix=a%2Fb%20c~&x=%2B%C3%A9"
    )


def test_a_key_is_printed_without_its_secrets() -> None:
    assert repr(AwsCredentials("AKID", "secret", "token")) == "AwsCredentials(key_id='AKID')"
