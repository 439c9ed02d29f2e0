"""Downloads the source distribution of an extension and checks its digest."""

import os
import tarfile
from pathlib import Path

from build.errors import BuildError
from build.key import file_digest
from build.run import run
from build.tools import tools
from build.unpacking import unpack_tar
from extensions.table import Extension


def fetch_source(
    extension: Extension, environment: dict[str, str], backends: Path, work: Path
) -> Path:
    """Returns the unpacked source tree of `extension` below `work`.

    pip does the download, so its configured index and proxies apply. It also asks the
    source's build backend for metadata, which is why maturin is a build tool and what C
    extensions use is in `backends`.
    """
    pinned = work / "source.txt"
    pinned.write_text(f"{extension.name}=={extension.version} --hash=sha256:{extension.sha256}\n")
    path = os.pathsep.join([str(tools().programs()), environment["PATH"]])
    modules = [str(tools().packages()), str(backends)]
    run(
        [
            tools().pip,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
            "--no-binary",
            ":all:",
            "--no-build-isolation",
            "--dest",
            work,
            "--requirement",
            pinned,
        ],
        what=f"download the source of {extension.name} {extension.version}",
        env={**environment, "PATH": path, "PYTHONPATH": os.pathsep.join(modules)},
    )
    (archive,) = work.glob("*.tar.gz")
    if (found := file_digest(archive)) != extension.sha256:
        raise BuildError(
            f"digest mismatch for `{archive.name}`: "
            f"expected sha256:{extension.sha256}, got sha256:{found}"
        )
    with tarfile.open(archive) as packed:
        unpack_tar(packed, work / "source")
    (tree,) = (work / "source").iterdir()
    return tree
