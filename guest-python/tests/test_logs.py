"""Logging: everything the agent logs becomes a record, once."""

from __future__ import annotations

import logging
import logging.config
import sys
import warnings

import pytest

from par_guest import logs
from par_guest.context import current_call


@pytest.fixture
def record_all(monkeypatch):
    """Installs the handler and returns the records; logging is put back afterwards.

    Called in the test itself, because pytest adds handlers of its own before each.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(logging.StreamHandler, "emit", logging.StreamHandler.emit)
    monkeypatch.setattr(logging, "basicConfig", logging.basicConfig)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)

    def install():
        records = []
        logs.install(lambda *record: records.append(record))
        return records

    yield install
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_record_carries_level_logger_message_and_call(record_all):
    sent = record_all()
    token = current_call.set(7)
    logging.getLogger("agent.rest").warning("lost %s", "it")
    current_call.reset(token)
    logging.getLogger("agent").info("outside")

    assert sent == [
        ("warning", "agent.rest", "lost it", None, 7),
        ("info", "agent", "outside", None, None),
    ]


@pytest.mark.parametrize(
    ("number", "level"),
    [(5, "debug"), (10, "debug"), (20, "info"), (25, "info"), (30, "warning"), (50, "error")],
)
def test_every_level_has_one_of_the_hosts(number, level):
    assert logs.level_of(number) == level


def test_debug_is_left_out_unless_the_agent_asks_for_it(record_all):
    sent = record_all()
    logging.debug("before")
    logging.basicConfig(level=logging.DEBUG, format="%(message)s")
    logging.debug("after")

    assert [record[2] for record in sent] == ["after"]


@pytest.mark.parametrize(
    "configure",
    [
        lambda: logging.basicConfig(),
        lambda: logging.basicConfig(level="INFO", force=True),
        lambda: logging.basicConfig(stream=sys.stdout),
        lambda: logging.getLogger("agent").addHandler(logging.StreamHandler()),
        lambda: logging.getLogger().addHandler(logging.StreamHandler(sys.stdout)),
        lambda: logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"console": {"class": "logging.StreamHandler"}},
                "root": {"level": "INFO", "handlers": ["console"]},
            }
        ),
        lambda: logging.getLogger().handlers.clear(),
    ],
)
def test_whatever_the_agent_configures_a_record_is_sent_once(record_all, capsys, configure):
    sent = record_all()
    agent = logging.getLogger("agent")
    try:
        configure()
        agent.warning("once")
    finally:
        agent.handlers.clear()

    assert [record[2] for record in sent] == ["once"]
    assert capsys.readouterr() == ("", "")


def test_a_logger_that_does_not_propagate_is_sent_through_its_console(record_all):
    sent = record_all()
    agent = logging.getLogger("agent.closed")
    agent.propagate = False
    agent.addHandler(logging.StreamHandler())

    agent.error("seen")

    assert [record[2] for record in sent] == ["seen"]


def test_a_log_file_that_can_be_written_is_written(record_all, tmp_path):
    sent = record_all()
    agent = logging.getLogger("agent.filed")
    file = logging.FileHandler(tmp_path / "agent.log")
    agent.addHandler(file)

    agent.error("kept")
    file.close()

    assert (tmp_path / "agent.log").read_text() == "kept\n"
    assert [record[2] for record in sent] == ["kept"]


def test_a_log_file_that_cannot_be_written_is_a_warning(record_all, tmp_path):
    sent = record_all()
    logging.basicConfig(filename=tmp_path / "none" / "agent.log", level=logging.DEBUG)
    logging.debug("still sent")

    assert [record[0] for record in sent] == ["warning", "debug"]
    assert "cannot be written" in sent[0][2]


def test_an_exception_carries_its_traceback(record_all):
    sent = record_all()
    try:
        raise ValueError("inside")
    except ValueError:
        logging.exception("it failed")

    level, _, message, traceback, _ = sent[0]
    assert (level, message) == ("error", "it failed")
    assert traceback.startswith("Traceback")
    assert "ValueError: inside" in traceback


def test_arguments_that_do_not_fit_are_sent_as_they_are(record_all):
    sent = record_all()
    logging.info("%d items", "many")

    assert sent[0][2] == "'%d items' (its arguments do not fit: ('many',))"


def test_an_object_that_cannot_be_printed_does_not_break_the_agent(record_all):
    sent = record_all()

    class Odd:
        def __str__(self):
            raise ValueError

        __repr__ = __str__

    logging.info("%s", Odd())
    logging.info(Odd())

    assert len(sent) == 2


def test_warnings_are_records(record_all):
    sent = record_all()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", UserWarning, stacklevel=1)

    assert sent[0][:2] == ("warning", "py.warnings")
    assert "old" in sent[0][2]


def test_an_unhandled_exception_is_a_record(record_all):
    sent = record_all()
    error = ValueError("loose")

    sys.excepthook(ValueError, error, None)

    assert sent[0][2] == "unhandled exception"
    assert "ValueError: loose" in sent[0][3]


def test_installing_twice_sends_once(record_all):
    sent = record_all()
    again = record_all()
    logging.getLogger("agent").addHandler(logging.StreamHandler())
    logging.getLogger("agent").error("once")
    logging.getLogger("agent").handlers.clear()

    assert (len(sent), len(again)) == (0, 1)
