"""Stands in for PAR as the parent of a confined process, and is as careless as PAR is not.

It leaks descriptors and variables, and runs a neighbour of the same user. Like PAR it lets nobody look at its memory.
Arguments: the program `par`, the confinement, and the command. Prints the report and what the command printed.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys

par, confinement, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)

listener = socket.create_server(("127.0.0.1", 0))
leaked = os.open(__file__, os.O_RDONLY)
for number in (listener.fileno(), leaked):
    os.set_inheritable(number, True)

report, writing = os.pipe()
os.set_inheritable(writing, True)
confinement = json.dumps(json.loads(confinement) | {"report": writing})
neighbour = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
known = json.loads(os.environ["KNOWN"]) | {
    "port": listener.getsockname()[1],
    "neighbour": neighbour.pid,
}
given = {
    "KNOWN": json.dumps(known),
    "GRANTED": "yes",
    "LD_PRELOAD": "/nowhere.so",
    "PYTHONSTARTUP": "/nowhere.py",
    "PYTHONPATH": "/nowhere",
    "GLIBC_TUNABLES": "glibc.malloc.check=1",
}
environment = {"PAR_GIVEN_" + name: value for name, value in given.items()}
environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials"
done = subprocess.run(
    [par, "confined", confinement, "--", *command],
    env=environment,
    close_fds=False,
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    check=False,
)
os.close(writing)
neighbour.communicate(b"\n")
with os.fdopen(report) as lines:
    text = lines.read()
json.dump(
    {"code": done.returncode, "report": json.loads(text or "null"), "output": done.stdout.decode()},
    sys.stdout,
)
