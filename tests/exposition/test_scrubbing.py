"""Texts of errors lose what may be a credential."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.exposition.page.scrubbing import scrubbed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("division by zero", "division by zero"),
        ("shop_http_request_duration_seconds has 12 labels", "shop_http_request_duration_seconds has 12 labels"),
        ("redis://:pw@h:1/0", "redis://***@h:1/0"),
        ("redis://u:p@ss/x?y@h/0", "redis://***@h/0"),
        ("http://h/x?token=abc&a=b is down", "http://h/x?*** is down"),
        ("Max retries exceeded with url: /v1/x?api_key=abc", "Max retries exceeded with url: ...x?api_key=***"),
        ("bob:hunter2@db.example refused", "***@db.example refused"),
        ("password=hunter2, user=bob", "password=***, user=bob"),
        ("password is hunter2", "password is ***"),
        ("{'password': 'a b', \"api-key\": \"x\"}", "{'password': ***, \"api-key\": ***}"),
        ("header Authorization: Bearer abc.def", "header Authorization: *** ***"),
        ("key AKIAIOSFODNN7EXAMPLE+1234 is invalid", "key *** is invalid"),
        ("[Errno 2] No such file or directory: '/home/bob/x.txt'", "[Errno 2] No such file or directory: '...x.txt'"),
        (r"C:\Users\bob\x.txt is missing", "...x.txt is missing"),
        ("http://h/a/b.html was not found", "http://h/a/b.html was not found"),
        ("x" * 400, "x" * 297 + "..."),
    ],
)
def test_texts_of_errors_are_scrubbed(text: str, expected: str) -> None:
    assert scrubbed(text, None) == expected


@pytest.mark.property
@given(
    st.sampled_from(
        ["redis://u:{}@h", "password={}", "token: '{}'", '"secret": "{}"', "Bearer {}", "http://h/?k={}", "pwd is {}"]
    ),
    st.text("abcXYZ019-_.~!$*", min_size=6, max_size=40),
    st.text("ab ,;:'\"", max_size=20),
)
def test_no_secret_is_left(form: str, secret: str, around: str) -> None:
    assert secret not in scrubbed(f"{around} {form.format(secret)} {around}", None).replace("***", "")


@pytest.mark.parametrize("piece", ["a", "a.", "://", "auth", "/a", "a:", "=", "auth='", "a1", "x@", "bearer ", "\\\\"])
def test_a_long_text_is_bounded(piece: str) -> None:
    assert len(scrubbed(piece * 1000, None)) <= 300
