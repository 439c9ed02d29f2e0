"""What the images are made of."""

import json
import re
import subprocess

import image

from image_test.saying import check, ran, said, tell
from image_test.tests import Tests

SIZE_LIMIT = 150_000_000
"""Of the hardened image, compressed. Unit: bytes."""

NEVER = [
    "sh",
    "bash",
    "dash",
    "busybox",
    "python",
    "python3",
    "cc",
    "gcc",
    "ld",
    "apt",
    "dpkg",
    "perl",
    "uv",
]


def nothing_else_inside(tests: Tests) -> None:
    """R205: hostile 188: no shell, no Python, no compiler, nothing that gains privileges; labels and a bill of materials."""
    entries = listed(tests.hardened)
    files = {name for kind, _, _, name in entries if kind != "d"}
    programs = {
        name for kind, mode, _, name in entries if kind == "-" and "x" in mode and ".so" not in name
    }
    of_the_engine = {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"}
    check(programs - of_the_engine == {"usr/local/bin/par"}, f"{sorted(programs)}")
    found = [name for name in files if name.rpartition("/")[2] in NEVER]
    check(not found, f"{found}")
    check(not any("s" in mode.lower() for _, mode, *_ in entries), "a file gains privileges")
    writable = {name for kind, mode, _, name in entries if kind != "l" and mode[7] == "w"}
    check(writable == {"tmp/"}, f"anybody writes to {sorted(writable)}")
    others = {(name, mode, owner) for _, mode, owner, name in entries if owner != "0/0"}
    check(others == {("var/cache/par/", "rwx------", "10001/10001")}, f"{others}")
    for bill in ["par.cdx.json", "image.cdx.json"]:
        check(f"usr/local/share/par/{bill}" in files, f"no `{bill}`")
    bills_have_what_they_should(tests)
    template = "--format={{json .Config.Labels}}"
    labels = json.loads(said(image.DOCKER, "inspect", template, tests.hardened))
    for label in ["title", "version", "revision", "licenses"]:
        check(labels.get(f"org.opencontainers.image.{label}"), f"no label `{label}`")


def listed(name: str) -> list[tuple[str, str, str, str]]:
    """Each entry of an image: its kind, the letters of its mode, its owner, its path."""
    created = said(image.DOCKER, "create", name)
    try:
        command = f"{image.DOCKER} export {created} | tar --numeric-owner -tvf -"
        lines = subprocess.run(command, shell=True, check=True, text=True, capture_output=True)
    finally:
        ran(image.DOCKER, "rm", created)
    fields = [line.split(maxsplit=5) for line in lines.stdout.splitlines()]
    return [(mode[0], mode[1:10], owner, path.split(" -> ")[0]) for mode, owner, *_, path in fields]


def bills_have_what_they_should(tests: Tests) -> None:
    """The engine, the interpreter and the C library are on the bills, with versions."""
    created = said(image.DOCKER, "create", tests.hardened)
    bills = tests.place / "bills"
    try:
        said(image.DOCKER, "cp", f"{created}:/usr/local/share/par", str(bills))
    finally:
        ran(image.DOCKER, "rm", created)
    components = []
    for file in bills.glob("*.cdx.json"):
        bill = json.loads(file.read_text())
        check(bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.6", file.name)
        components += bill["components"]
    for name in ["wasmtime", "rustls", "cpython", "fastapi", "libc6", "ca-certificates"]:
        versions = [one["version"] for one in components if one["name"] == name]
        check(versions and re.match(r"\d", versions[0]), f"`{name}` is not on a bill: {versions}")


def is_small(tests: Tests) -> None:
    """R205: compressed, the image stays below its budget."""
    command = f"{image.DOCKER} save {tests.hardened} | gzip -6 | wc -c"
    size = int(subprocess.run(command, shell=True, check=True, capture_output=True).stdout)
    tell(f"      {size / 1e6:.1f} MB compressed, of {SIZE_LIMIT / 1e6:.0f} MB")
    check(size < SIZE_LIMIT, f"{size} bytes")


def is_reproducible(tests: Tests) -> None:
    """R205: the same inputs make the same layers."""
    layers = "--format={{json .RootFS.Layers}}"
    for name in [tests.hardened, tests.full]:
        first = said(image.DOCKER, "inspect", layers, name)
        image.build(tests.context, name.partition(":")[2], "--no-cache")
        second = said(image.DOCKER, "inspect", layers, name)
        check(first == second, f"{name}: {first}\n{second}")
