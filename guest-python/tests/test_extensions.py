"""The answers the sandbox is compared with are CPython's own."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2] / "tests"
CASES = sorted(
    [*(TESTS / "cases/extensions").glob("*.py"), *(TESTS / "cases/language").glob("*.py")]
)


def load_battery():
    spec = importlib.util.spec_from_file_location("battery", TESTS / "it/python/battery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_written_answers_are_what_this_python_answers(case: Path) -> None:
    answers = load_battery().answers(case.read_text())

    written = case.with_suffix(".answers").read_text()
    assert answers == [json.loads(line) for line in written.splitlines()]


def test_there_are_cases() -> None:
    assert len(CASES) >= 10
