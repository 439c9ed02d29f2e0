"""Counting brackets before the decoder does."""

import json

import pytest

from par_guest import nesting

LIMIT = 50


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nesting, "LIMIT", LIMIT)
    monkeypatch.setattr(json.JSONDecoder, "raw_decode", nesting.raw_decode)


def nested(levels: int, inner: str = "") -> str:
    return "[" * levels + inner + "]" * levels


@pytest.mark.parametrize(
    "text",
    [
        nested(LIMIT),
        nested(40, ",".join([nested(LIMIT - 40)] * 100)),
        "[" + ",".join(['{"a": [1, 2]}'] * 100) + "]",
        json.dumps(["[" * 100, "{" * 100, '"[' * 100, "\\[" * 100]),
        json.dumps(["[" * 10, "\\"] * 100),
    ],
    ids=["as deep as may be", "wide and deep", "wide", "in strings", "behind escapes"],
)
def test_what_the_decoder_can_do_it_does(counted: None, text: str) -> None:
    value = json.loads(text)
    decoded = json.JSONDecoder().raw_decode(text)
    assert decoded == (value, len(text))
    assert json.loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        nested(LIMIT + 1),
        "[" * (LIMIT + 1),
        '{"a":' * (LIMIT + 1) + "1" + "}" * (LIMIT + 1),
        "]" * 100 + "[" * (LIMIT + 1),
        json.dumps(["]" * 100]) + nested(LIMIT + 1),
        nested(10, ",".join([nested(LIMIT - 9)] * 100)),
    ],
    ids=["lists", "unfinished", "objects", "closed before", "closed in a string", "wide and deep"],
)
def test_what_is_deeper_is_a_recursion_error(counted: None, text: str) -> None:
    with pytest.raises(RecursionError, match="deeper than 50 levels"):
        json.loads(text)


def test_a_wide_document_is_looked_at_by_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def finditer(self, text: str) -> None:
            raise AssertionError("each bracket by itself")

    monkeypatch.setattr(nesting, "_TOKEN", Slow())
    assert not nesting.nests_deeper(json.dumps([{"a": [{}, {}]}] * 100), LIMIT)
