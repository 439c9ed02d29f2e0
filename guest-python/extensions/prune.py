"""Removes what an extension exports beyond what Python and the linker ask of it."""

from build.wasm import (
    EXPORT,
    HEADER_LENGTH,
    Section,
    assemble,
    exports,
    import_names,
    sections,
    unsigned,
)

LIFE_CYCLE = {"__wasm_call_ctors", "__wasm_apply_data_relocs", "_initialize"}
"""What the linker of shared libraries calls."""


def prune(library: bytes) -> bytes:
    """Keeps `PyInit_*`, the life cycle, and what the library itself imports by name.

    A Rust library exports all its symbols. Two such libraries in one guest would resolve
    each other's symbols, which are not the same.
    """
    own_imports = set(import_names(sections(library)))

    def kept(name: str) -> bool:
        return name.startswith("PyInit_") or name in LIFE_CYCLE or name in own_imports

    def pruned(section: Section) -> Section:
        if section.number != EXPORT:
            return section
        entries = [entry for name, entry in exports(section.content) if kept(name)]
        return Section(EXPORT, unsigned(len(entries)) + b"".join(entries))

    return assemble(library[:HEADER_LENGTH], map(pruned, sections(library)))
