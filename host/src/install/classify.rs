//! What may enter the sandbox: requirements by name, files by content.

use super::guest::GuestFiles;
use super::standin::{StandIn, stand_in};
use par_apkg::archive::MAGIC;
use par_apkg::requirement::ProjectName;

/// How a requirement is met, as far as its name alone tells. Needs no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// The guest carries this version ready-made; another one can be asked for.
    Carried(&'a str),
    /// A native wheel of this version was built for the guest.
    Built(&'a str),
    /// Not installed: the platform takes its place.
    StandIn(&'static StandIn),
    /// Comes from the package index or the wheelhouse.
    Resolved,
}

/// How the requirement on a distribution is met.
#[must_use]
pub fn standing<'a>(name: &ProjectName, guest: &'a GuestFiles) -> Standing<'a> {
    if let Some(version) = guest.carried(name) {
        Standing::Carried(version)
    } else if let Some(wheel) = guest.newest_wheel(name) {
        Standing::Built(wheel.version())
    } else if let Some(stand_in) = stand_in(name.as_str()) {
        Standing::StandIn(stand_in)
    } else {
        Standing::Resolved
    }
}

/// Native code, by the system it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Native {
    /// An ELF file.
    Linux,
    /// A WebAssembly module or component.
    WebAssembly,
    /// A Mach-O file, thin or fat.
    Mac,
    /// A PE file.
    Windows,
}

impl Native {
    /// How many bytes of a file [`Native::of`] wants to see.
    pub const HEAD: usize = 512;

    /// What a file is, by its first bytes. Its name and the tags of its wheel prove nothing.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x7f, b'E', b'L', b'F', ..] => Some(Self::Linux),
            [0, b'a', b's', b'm', ..] => Some(Self::WebAssembly),
            [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => Some(Self::Mac),
            // Java classes begin alike; where a fat file counts its parts, they have a version of 45 or more.
            [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, parts, ..] if *parts < 45 => Some(Self::Mac),
            [b'M', b'Z', ..] if has_portable_header(head) => Some(Self::Windows),
            _ => None,
        }
    }

    /// Whether a file that begins so may be native code; [`Native::of`] then looks at more of it.
    #[must_use]
    pub fn may_begin(magic: [u8; MAGIC]) -> bool {
        matches!(
            magic,
            [0x7f, b'E', b'L', b'F']
                | [0, b'a', b's', b'm']
                | [0xfe, 0xed, 0xfa, 0xce | 0xcf]
                | [0xce | 0xcf, 0xfa, 0xed, 0xfe]
                | [0xca, 0xfe, 0xba, 0xbe]
                | [b'M', b'Z', ..]
        )
    }

    /// The name of the system, for error texts.
    #[must_use]
    pub fn system(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::WebAssembly => "another WebAssembly host",
            Self::Mac => "macOS",
            Self::Windows => "Windows",
        }
    }
}

fn has_portable_header(head: &[u8]) -> bool {
    let Some(offset) = head.get(0x3c..0x40).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes) else {
        return false;
    };
    match usize::try_from(offset).ok().and_then(|offset| head.get(offset..offset + 4)) {
        Some(magic) => magic == b"PE\0\0",
        // The header lies further on than we look; only programs start so.
        None => offset < 1 << 20,
    }
}

/// A distribution whose native files only make it faster.
struct Accelerated {
    name: &'static str,
    /// The native files, each as the path before the first `.` of the file name.
    modules: &'static [&'static str],
}

/// Distributions without a pure wheel whose Python code falls back to its own implementation
/// when these modules are missing. Each line was checked: the wheel was installed, the files were removed,
/// and the library was imported and used. `docs/dependencies.md` says with which version.
const ACCELERATED: [Accelerated; 10] = [
    Accelerated { name: "google-crc32c", modules: &["google_crc32c/_crc32c", "google_crc32c.libs/"] },
    Accelerated { name: "lazy-object-proxy", modules: &["lazy_object_proxy/cext"] },
    Accelerated { name: "markupsafe", modules: &["markupsafe/_speedups"] },
    Accelerated { name: "msgpack", modules: &["msgpack/_cmsgpack"] },
    Accelerated { name: "pymongo", modules: &["pymongo/_cmessage", "bson/_cbson"] },
    Accelerated { name: "pyyaml", modules: &["yaml/_yaml"] },
    Accelerated { name: "rapidfuzz", modules: &["rapidfuzz/"] },
    Accelerated { name: "ruamel-yaml-clib", modules: &["_ruamel_yaml"] },
    Accelerated { name: "tornado", modules: &["tornado/speedups"] },
    Accelerated { name: "zope-interface", modules: &["zope/interface/_zope_interface_coptimizations"] },
];

/// Where a wheel came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The package index or the wheelhouse.
    Outside,
    /// The guest directory: its native code was built for this guest.
    Guest,
}

/// What happens to one native file of a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is installed.
    Kept,
    /// It is left out, and nothing misses it.
    LeftOut,
    /// The wheel cannot run in the sandbox.
    Refused,
}

/// What happens to a native file at `path` of the installed tree.
#[must_use]
pub fn fate(distribution: &ProjectName, path: &str, native: Native, origin: Origin) -> Fate {
    match native {
        Native::WebAssembly if origin == Origin::Guest => Fate::Kept,
        // Data for some engine, not something Python would import.
        Native::WebAssembly if !path.ends_with(".so") => Fate::Kept,
        // Resolved for Linux, a wheel brings files of other systems only as dead weight.
        Native::Mac | Native::Windows => Fate::LeftOut,
        Native::Linux if is_accelerator(distribution, path) => Fate::LeftOut,
        Native::WebAssembly | Native::Linux => Fate::Refused,
    }
}

fn is_accelerator(distribution: &ProjectName, path: &str) -> bool {
    ACCELERATED.iter().filter(|accelerated| accelerated.name == distribution.as_str()).any(|accelerated| {
        accelerated.modules.iter().any(|module| match path.strip_prefix(module) {
            Some(rest) => module.ends_with('/') || rest.starts_with('.'),
            None => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(distribution: &str, path: &str, native: Native) -> Fate {
        fate(&ProjectName::parse(distribution).unwrap(), path, native, Origin::Outside)
    }

    #[test]
    fn native_code_is_known_by_its_first_bytes() {
        let mut program = vec![0; 256];
        program[..2].copy_from_slice(b"MZ");
        program[0x3c] = 0x80;
        program[0x80..0x84].copy_from_slice(b"PE\0\0");
        assert_eq!(Native::of(&program), Some(Native::Windows));
        for (head, system) in [
            (b"\x7fELF\x02\x01\x01\0", Native::Linux),
            (b"\0asm\x01\0\0\0", Native::WebAssembly),
            (b"\xcf\xfa\xed\xfe\x07\0\0\x01", Native::Mac),
            (b"\xfe\xed\xfa\xce\0\0\0\x12", Native::Mac),
            (b"\xca\xfe\xba\xbe\0\0\0\x02", Native::Mac),
        ] {
            assert_eq!(Native::of(head), Some(system));
            assert!(Native::may_begin(head[..MAGIC].try_into().unwrap()), "{system:?}");
        }
        assert!(Native::may_begin(program[..MAGIC].try_into().unwrap()));
        assert!(!Native::may_begin(*b"impo"));
    }

    #[test]
    fn what_only_begins_like_native_code_is_not() {
        let mut prose = b"MZ is the magic of an old format. ".repeat(4);
        prose[0x3c..0x40].copy_from_slice(b"text");
        assert_eq!(Native::of(&prose), None);
        assert_eq!(Native::of(b"\xca\xfe\xba\xbe\0\0\0\x34"), None, "a Java class");
        assert_eq!(Native::of(b"import this"), None);
        assert_eq!(Native::of(b""), None);
    }

    #[test]
    fn only_the_listed_modules_of_a_listed_distribution_are_left_out() {
        let linux = Native::Linux;
        assert_eq!(judged("markupsafe", "markupsafe/_speedups.cpython-314-x86_64-linux-gnu.so", linux), Fate::LeftOut);
        assert_eq!(judged("markupsafe", "markupsafe/_speedups2.so", linux), Fate::Refused);
        assert_eq!(judged("markupsafe", "markupsafe/other.so", linux), Fate::Refused);
        assert_eq!(judged("numpy", "numpy/_core/_multiarray_umath.so", linux), Fate::Refused);
    }

    #[test]
    fn web_assembly_is_code_only_from_the_guest() {
        let name = ProjectName::parse("orjson").unwrap();
        assert_eq!(fate(&name, "orjson/orjson.so", Native::WebAssembly, Origin::Guest), Fate::Kept);
        assert_eq!(fate(&name, "orjson/orjson.so", Native::WebAssembly, Origin::Outside), Fate::Refused);
        assert_eq!(fate(&name, "site/app.wasm", Native::WebAssembly, Origin::Outside), Fate::Kept);
    }

    #[test]
    fn files_for_other_systems_are_dead_weight() {
        assert_eq!(judged("setuptools", "setuptools/cli-64.exe", Native::Windows), Fate::LeftOut);
    }
}
