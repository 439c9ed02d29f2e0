"""Writes what PAR is made of, as CycloneDX 1.6: `python3 .ci/sbom.py DIRECTORY`.

`par.cdx.json` has every crate that is linked into the program, with its licence and the digest the
lock demands, and every Python distribution and native extension of the guest. It has no time of
writing: the same sources make the same file.
"""

import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
GUEST = REPOSITORY / "target/guest/guest.json"


def main() -> None:
    """Writes the file into the directory that was named."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    document = bill(crates(), distributions())
    (directory / "par.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(document['components'])} components")


def crates() -> list[dict]:
    """The crates `par` is linked with: build-time and test-time ones are not among them."""
    metadata = json.loads(cargo("metadata", "--format-version=1", "--locked"))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    digests = checksums()
    root = next(key for key, package in packages.items() if package["name"] == "par-host")
    seen, todo = set(), [root]
    while todo:
        current = todo.pop()
        if current in seen or is_macro(packages[current]):
            continue
        seen.add(current)
        todo += [
            dependency["pkg"]
            for dependency in nodes[current]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
    return [component_of_crate(packages[key], digests) for key in sorted(seen)]


def is_macro(package: dict) -> bool:
    """Whether it runs in the compiler and is not linked."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def checksums() -> dict[tuple[str, str], str]:
    """The digests of the lock."""
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())
    return {
        (package["name"], package["version"]): package["checksum"]
        for package in lock["package"]
        if "checksum" in package
    }


def component_of_crate(package: dict, digests: dict[tuple[str, str], str]) -> dict:
    """One crate as CycloneDX has it."""
    name, version = package["name"], package["version"]
    component = described("library", name, version, f"pkg:cargo/{name}@{version}")
    if package["license"]:
        component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if digest := digests.get((name, version)):
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return component


def distributions() -> list[dict]:
    """What the guest is made of: the interpreter, Python distributions, native extensions."""
    guest = json.loads(GUEST.read_text())
    python = guest["python"]
    components = [described("platform", "cpython", python, f"pkg:generic/cpython@{python}")]
    for name, version in guest["distributions"].items():
        components.append(described("library", name, version, f"pkg:pypi/{name}@{version}"))
    for file, digest in guest["wheels"].items():
        name, version = file.split("-")[:2]
        purl = f"pkg:pypi/{name.replace('_', '-')}@{version}?file_name={file}"
        component = described("library", name, version, purl)
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
        components.append(component)
    component = described(
        "file", "agent.wasm", guest["key"], f"pkg:generic/par-guest@{guest['key']}"
    )
    component["hashes"] = [{"alg": "SHA-256", "content": guest["component"]["sha256"]}]
    return [*components, component]


def described(kind: str, name: str, version: str, purl: str) -> dict:
    """What every component has."""
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def bill(*parts: list[dict]) -> dict:
    """The whole document."""
    own = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    components = [component for part in parts for component in part]
    seed = "\n".join(component["purl"] for component in components)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, seed)}",
        "version": 1,
        "metadata": {"component": described("application", "par", own, f"pkg:generic/par@{own}")},
        "components": components,
    }


def cargo(*arguments: str) -> str:
    """What cargo says."""
    return subprocess.run(
        ["cargo", *arguments], cwd=REPOSITORY, check=True, text=True, stdout=-1
    ).stdout


main()
