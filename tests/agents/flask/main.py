"""A WSGI application built with Flask."""

import random

from flask import Flask, abort, request

app = Flask(__name__)


@app.get("/dice/<int:sides>")
def roll(sides: int):
    """Rolls one die."""
    if sides < 2:
        abort(400, "a die has two sides at least")
    return {"sides": sides, "rolled": random.randint(1, sides)}


@app.post("/sum")
def add():
    """Adds the numbers of a JSON list."""
    return {"sum": sum(request.get_json())}
