"""Unpacks tar archives that were checked by digest."""

import tarfile
from pathlib import Path


def unpack_tar(archive: tarfile.TarFile, directory: Path) -> None:
    """Unpacks into `directory`; nothing lands outside it.

    Python has filters since 3.11.4 and Debian 12 has 3.11.2, so there the names are looked at
    here. What is unpacked is pinned by digest: this is a second wall.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(directory, filter="data")
        return
    root = directory.resolve()
    for member in archive.getmembers():
        if not (member.isreg() or member.isdir()):
            raise tarfile.TarError(f"`{member.name}` is neither a file nor a directory")
        if not (root / member.name).resolve().is_relative_to(root):
            raise tarfile.TarError(f"`{member.name}` is outside the archive")
    archive.extractall(directory)  # noqa: S202  (looked at above)
