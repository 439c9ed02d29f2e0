"""Draws the dashboard from real data: `python3 .ci/dashboard.py PICTURE [SECONDS]`.

Checks and tests the alert rules with `promtool`. Then runs an agent under a load that changes, lets a Prometheus of its own
read `/metrics` for so long (12 minutes unless said otherwise), asks it each expression of `docs/grafana/par.json` as a dashboard
would, and draws the answers. Nothing is invented: a series that is not there is not drawn.

Needs Debian's `prometheus`, and `par` and the guest built (`just build guest`).
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from dashboard import drawing, load

REPOSITORY = Path(__file__).resolve().parents[1]
GRAFANA = REPOSITORY / "docs/grafana"
RULES = GRAFANA / "alerts.yaml"
AGENT = REPOSITORY / ".ci/dashboard/agent"

SCRAPE = 5
"""Seconds between two looks at the numbers."""

PATIENCE = 60
"""Seconds until a program that was started has to answer."""


def main() -> None:
    """Everything, one after the other."""
    check_rules()
    if len(sys.argv) < 2:
        return
    picture = Path(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 720
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="par-dashboard-")))
        upstream = stack.enter_context(load.upstream())
        ports = stack.enter_context(agent(place, upstream))
        server = stack.enter_context(prometheus(place, ports["PAR_METRICS_PORT"]))
        begun = time.time()
        load.run(ports["REST_PORT"], ports["A2A_PORT"], upstream, seconds)
        check_groups(server)
        panels = json.loads((GRAFANA / "par.json").read_text())["panels"]
        drawn = [(panel, series(server, panel, begun, time.time())) for panel in panels]
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(drawing.svg(drawn))
    print(f"{picture}: {len(drawn)} panels, {picture.stat().st_size} bytes")


def program(name: str) -> str:
    """Where a program of Debian's is."""
    found = shutil.which(name)
    if found is None:
        sys.exit(f"error: `{name}` is not installed\nhint: apt-get install prometheus")
    return found


def check_rules() -> None:
    """The rules parse, and fire when they should."""
    subprocess.run([program("promtool"), "check", "rules", RULES], check=True)
    subprocess.run(
        [program("promtool"), "test", "rules", REPOSITORY / ".ci/dashboard/alerts.yaml"], check=True
    )


def check_groups(server: str) -> None:
    """A running Prometheus can evaluate every rule."""
    groups = ask(server, "rules", {})["groups"]
    wrong = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]
    if wrong or not groups:
        sys.exit(f"error: rules that cannot be evaluated: {wrong}")


@contextlib.contextmanager
def agent(place: Path, upstream: str) -> Iterator[dict[str, int]]:
    """Runs the agent; yields its ports."""
    ports = dict(
        zip(
            ["REST_PORT", "A2A_PORT", "UI_PORT", "PAR_METRICS_PORT"],
            load.free_ports(4),
            strict=True,
        )
    )
    policy = (
        f"version: 1\ngrant:\n  outbound: ['{upstream}']\n  outbound_addresses: [127.0.0.0/8]\n"
    )
    environment = {
        **{name: str(port) for name, port in ports.items()},
        "AGENT_APP_ID": "picture",
        "AGENT_PACKAGE_PATH": str(AGENT),
        "PAR_POLICY": policy,
        "PAR_CACHE_DIR": str(place / "cache"),
        "PAR_GUEST_DIR": os.environ.get("PAR_GUEST_DIR", str(REPOSITORY / "target/guest")),
        "PAR_INSTANCES": "2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": upstream,
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
        "TMPDIR": str(place),
    }
    par = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release/par"
    with process([par], environment, place / "par.log"):
        load.until(f"http://127.0.0.1:{ports['REST_PORT']}/health", PATIENCE)
        yield ports


@contextlib.contextmanager
def prometheus(place: Path, metrics: int) -> Iterator[str]:
    """Runs a Prometheus that reads this port; yields its URL."""
    [port] = load.free_ports(1)
    configuration = {
        "global": {"scrape_interval": f"{SCRAPE}s", "evaluation_interval": f"{SCRAPE}s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "par", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}
        ],
    }
    file = place / "prometheus.json"
    file.write_text(json.dumps(configuration))
    arguments = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with process(arguments, {}, place / "prometheus.log"):
        url = f"http://127.0.0.1:{port}"
        load.until(f"{url}/-/ready", PATIENCE)
        yield url


@contextlib.contextmanager
def process(arguments: list[str | Path], environment: dict[str, str], log: Path) -> Iterator[None]:
    """Runs a program until the end of the block."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            arguments, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                running.kill()


def ask(server: str, what: str, parameters: dict[str, str]) -> dict:
    """One question to the Prometheus."""
    url = f"{server}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        return json.load(response)["data"]


def series(server: str, panel: dict, begun: float, ended: float) -> list[drawing.Series]:
    """What the expressions of a panel give over that time, named as the panel names them."""
    found = []
    for target in panel["targets"]:
        expression = target["expr"].replace("$__rate_interval", "1m")
        span = {"start": str(begun), "end": str(ended), "step": str(2 * SCRAPE)}
        for result in ask(server, "query_range", {"query": expression, **span})["result"]:
            points = [(float(at) - begun, float(value)) for at, value in result["values"]]
            found.append(drawing.Series(drawing.legend(target, result["metric"]), points))
    return found


if __name__ == "__main__":
    main()
