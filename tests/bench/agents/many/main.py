"""Imports some of what it needs, as a real agent would."""

import babel.numbers  # noqa: F401
import django.forms  # noqa: F401
import docutils.core  # noqa: F401
import flask
import tomlkit  # noqa: F401

app = flask.Flask(__name__)


@app.get("/")
def root():
    """Answers."""
    return "many"
