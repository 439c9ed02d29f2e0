"""Imports some of what it needs, as a real agent would."""

import boto3  # noqa: F401
import django.db.models  # noqa: F401
import flask
import networkx  # noqa: F401
import rich.console  # noqa: F401

app = flask.Flask(__name__)


@app.get("/")
def root():
    """Answers."""
    return "many"
