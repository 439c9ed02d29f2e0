"""Takes apart the componentize-py wheel: it embeds the guest's CPython.

The wheel's extension module holds, as Zstandard frames, the standard library (a tar archive)
and the shared WebAssembly libraries every component is linked from. The frames are found by
their magic number and told apart by what they contain.

Run with the build tools as `python -m build.embedded OUTPUT`.
"""

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from build.errors import BuildError
from build.unpacking import unpack_tar
from build.wasm import export_names, sections

ZSTANDARD_MAGIC = bytes.fromhex("28b52ffd")
WASM_MAGIC = b"\0asm"
LIBRARIES = {
    "libpython3.14.so": "PyObject_Call",
    "libc.so": "malloc",
    "libwasi-emulated-process-clocks.so": "clock",
}
"""The libraries an extension is linked against, by an export that only they have."""


def frames(data: bytes) -> Iterator[bytes]:
    """Every Zstandard frame in `data`, decompressed."""
    import zstandard  # a build tool: only the process that takes the wheel apart has it

    position = data.find(ZSTANDARD_MAGIC)
    while position >= 0:
        decoder = zstandard.ZstdDecompressor().decompressobj()
        try:
            content = decoder.decompress(memoryview(data)[position:])
            complete = decoder.eof
        except zstandard.ZstdError:
            complete = False
        if complete:
            yield content
            position = len(data) - len(decoder.unused_data)
        else:
            position += len(ZSTANDARD_MAGIC)  # the magic number occurred by chance
        position = data.find(ZSTANDARD_MAGIC, position)


def unpack(output: Path) -> None:
    """Writes `lib/` (shared libraries) and `python/` (the standard library) into `output`."""
    import componentize_py

    module = Path(componentize_py.__file__).with_name("componentize_py.abi3.so")
    wanted = dict(LIBRARIES)
    (output / "lib").mkdir()
    for content in frames(module.read_bytes()):
        if content.startswith(WASM_MAGIC):
            exports = set(export_names(sections(content)))
            for name, mark in list(wanted.items()):
                if mark in exports:
                    (output / "lib" / name).write_bytes(content)
                    del wanted[name]
                    break
        elif content[257:262] == b"ustar":
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                if "encodings/__init__.py" in archive.getnames():
                    unpack_tar(archive, output / "python")
    if wanted or not (output / "python").is_dir():
        missing = ", ".join(wanted) or "the standard library"
        raise BuildError(f"`{module}` does not hold {missing} where it used to")


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
