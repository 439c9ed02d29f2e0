//! What hostile bytes can make the parsers allocate: a multiple of what was sent, and never more than a
//! small part of the memory of a container.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use par_apkg::Package;
use par_apkg::archive::{Archive, ArchiveLimits};
use par_apkg::manifest::{LARGEST_MANIFEST, Manifest, ManifestError};
use par_apkg::wheel::{EntryPoints, Metadata, Record};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The allocator counts for the whole process, and tests run side by side.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

/// The stack manifests are parsed on. Unit: bytes.
///
/// The parser calls itself once a level, and 32 levels are the most, whatever the text: that is less than 256 KiB where
/// this crate is optimised, and 62 KiB a level, more than the 2 MiB a thread has, where it is not and its dependencies
/// are. Without a bound, a text of 100 000 levels would want a hundred times as much as this.
const STACK: usize = 4 * MIB;

/// The only test that runs: what it measures is its own, and what the others prepare is not counted.
struct Alone {
    _others_wait: MutexGuard<'static, ()>,
}

impl Alone {
    /// Waits for the test that runs; taken before a test allocates anything.
    fn new() -> Self {
        // A test that failed leaves nothing behind that another one would count.
        Self { _others_wait: ALONE.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Most bytes that were allocated at once beyond those that were before.
    #[expect(clippy::unused_self, reason = "whoever measures shows that no other test runs")]
    fn peak<T>(&self, work: impl FnOnce() -> T) -> usize {
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        drop(work());
        ALLOCATOR.peak_usage().saturating_sub(before)
    }

    fn assert_cheap(&self, what: &str, most: usize, work: impl FnOnce()) {
        let peak = self.peak(work);
        assert!(peak < most, "{what} allocated {peak} bytes, expected less than {most}");
    }
}

/// Parses a manifest.
fn parse(text: &str) -> Result<Manifest, ManifestError> {
    let package = tempfile::tempdir().unwrap();
    let package = Dir::open_ambient_dir(package.path(), ambient_authority()).unwrap();
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(STACK);
        parser.spawn_scoped(scope, || Manifest::parse(text.as_bytes(), &package)).unwrap().join().unwrap()
    })
}

/// A text as long as a manifest may be, made of one part.
fn filled(start: &str, part: &str, end: &str) -> String {
    let count = (LARGEST_MANIFEST - start.len() - end.len()) / part.len();
    format!("{start}{}{end}", part.repeat(count))
}

/// The test can fail.
#[test]
fn what_is_allocated_is_counted() {
    let alone = Alone::new();
    let measured = alone.peak(|| vec![0_u8; 5 * MIB]);

    // Not to the byte: the thread that runs the tests takes and gives back some meanwhile.
    assert!((4 * MIB..6 * MIB).contains(&measured), "{measured}");
}

/// Hostile 39, 40, 41: a manifest that is small and wants to become large.
#[test]
fn no_manifest_makes_its_parser_allocate_without_end() {
    let alone = Alone::new();
    let start = "name: x\nversion: \"1\"\na2a: {}\nmetadata:\n";
    let levels: String = (1..40).fold("  a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let alias = format!("*a{}", level - 1);
        text + &format!("  a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(","))
    });
    let scalar = format!("  a: &a \"{}\"\n  b: [{}*a]\n", "x".repeat(60_000), "*a,".repeat(20_000));
    let bombs = [
        ("aliases of aliases", format!("{start}{levels}")),
        ("aliases of a long scalar", format!("{start}{scalar}")),
        ("open lists", filled("a: ", "[", "")),
        ("nested lists", format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("nested maps in a flow", filled("a: ", "{a: ", "")),
        ("nested maps in blocks", (0..700).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()),
        ("nested sequences in blocks", filled("a:\n", "- ", "")),
        ("items", filled("a: [", "1,", "]")),
        ("empty items", filled("a:\n", "-\n", "")),
        ("keys", (0..30_000).map(|key| format!("{key}:\n")).collect()),
        ("keys of one name", filled("", "a:\n", "")),
        ("questions", filled("", "? ", "")),
        ("tags", filled("a: ", "!x ", "")),
        ("anchors", filled("a: [", "&a 1,", "]")),
        ("merges", filled("", "<<: {a: 1}\n", "")),
        ("documents", filled("", "---\n", "")),
        ("directives", filled("", "%TAG !a! b\n", "")),
        ("escapes", filled("a: \"", "\\U0001F600", "\"")),
        ("folded lines", filled("a: >\n", " x\n", "")),
        ("one scalar", filled("a: ", "x", "")),
        ("numbers", filled("a: ", "9", "")),
        ("comments", filled("a: 1\n", "#\n", "")),
        ("requirements", filled(&format!("{start}dependencies:\n"), "- a\n", "")),
        ("exports", filled(&format!("{start}exports:\n"), "- {name: a, handler: b.c}\n", "")),
        (
            "environment",
            (0..12_000).map(|n| format!("  A{n}: ${{A{n}}}\n")).fold(format!("{start}environment:\n"), |a, b| a + &b),
        ),
    ];
    for (what, text) in bombs {
        assert!(text.len() <= LARGEST_MANIFEST, "{what} is not read at all");
        alone.assert_cheap(what, 8 * MIB, || drop(parse(&text)));
    }
    assert!(parse("name: x\nversion: \"1\"\na2a: {}\n").is_ok());
}

/// Hostile 42: of a file that is too large, only what shows that it is gets read.
#[test]
fn a_manifest_of_a_hundred_megabytes_is_not_read() {
    let alone = Alone::new();
    let package = tempfile::tempdir().unwrap();
    let open = || Package::open(package.path(), Path::new("unused"), ArchiveLimits::PACKAGE);
    for name in ["agent.yaml", "requirements.txt", "pyproject.toml", "setup.py", "deploy.json", ".env"] {
        fs_err::write(package.path().join("agent.yaml"), "name: x\nversion: \"1\"\na2a: {}\n").unwrap();
        assert!(open().is_ok());
        let file = fs_err::File::create(package.path().join(name)).unwrap();
        file.set_len(100 << 20).unwrap();

        alone.assert_cheap(name, 2 * MIB, || {
            let error = open().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{name}` in `")) && error.contains("is larger than"), "{error}");
        });
        fs_err::remove_file(package.path().join(name)).unwrap();
    }
}

/// Hostile 67, 68: requirements and metadata that want to become large.
#[test]
fn no_file_of_requirements_makes_its_parser_allocate_without_end() {
    let alone = Alone::new();
    let size = 256 * 1024 - 100;
    let fill = |start: &str, part: &str| format!("{start}{}", part.repeat((size - start.len()) / part.len()));
    let cases = [
        ("requirements.txt", fill("", "a\n")),
        ("requirements.txt", fill("", "\\\n")),
        ("requirements.txt", fill("a; ", "(")),
        ("requirements.txt", fill("a; os_name == 'x'", " or os_name == 'x'")),
        ("requirements.txt", fill("a[a", ",a")),
        ("requirements.txt", fill("a==1", ",==1")),
        ("pyproject.toml", fill("a", ".a") + "=1"),
        ("pyproject.toml", fill("[a", ".a") + "]"),
        ("pyproject.toml", fill("a=", "[")),
        ("pyproject.toml", fill("a=", "{a=")),
        ("pyproject.toml", fill("", "[[a]]\n")),
        ("pyproject.toml", (0..30_000).map(|n| format!("a{n}=1\n")).collect()),
        ("pyproject.toml", fill("project.dependencies=[", "'a',") + "]"),
        ("deploy.json", fill("", "[")),
        ("deploy.json", fill("[0", ",0") + "]"),
        ("setup.py", fill("install_requires=[", "'a',") + "]"),
        ("setup.py", fill("", "install_requires=[")),
        ("setup.py", fill("", "install_requires=['a']")),
    ];
    for (name, text) in cases {
        let package = tempfile::tempdir().unwrap();
        fs_err::write(package.path().join("agent.yaml"), "name: x\nversion: \"1\"\na2a: {}\n").unwrap();
        fs_err::write(package.path().join(name), &text).unwrap();
        alone.assert_cheap(&format!("{name} of `{}...`", &text[..20]), 32 * MIB, || {
            drop(Package::open(package.path(), Path::new("unused"), ArchiveLimits::PACKAGE));
        });
    }
}

/// Hostile 63, 64: the files a wheel describes itself by.
#[test]
fn no_metadata_of_a_wheel_makes_its_parser_allocate_without_end() {
    let alone = Alone::new();
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();

    let record = lines(600_000, &|n| format!("{n},,\n"));
    alone.assert_cheap("RECORD of many files", 24 * MIB, || drop(Record::parse(record.as_bytes())));
    let record = ",".repeat(8 << 20);
    alone.assert_cheap("RECORD of commas", 24 * MIB, || drop(Record::parse(record.as_bytes())));
    let metadata = lines(900_000, &|_| "a:b\n".to_owned());
    alone.assert_cheap("METADATA of many fields", 24 * MIB, || drop(Metadata::parse(metadata.as_bytes())));
    let metadata = format!("a:\n{}", lines(900_000, &|_| " b\n".to_owned()));
    alone.assert_cheap("METADATA of one long field", 24 * MIB, || drop(Metadata::parse(metadata.as_bytes())));
    let scripts = format!("[a]\n{}", lines(100_000, &|n| format!("{n}=b\n")));
    alone.assert_cheap("entry points", 24 * MIB, || drop(EntryPoints::parse(scripts.as_bytes())));
}

/// Hostile 24, 27: a bomb costs what one buffer costs, whatever comes out; a directory costs what it is.
#[test]
fn no_archive_makes_its_reader_allocate_without_end() {
    let alone = Alone::new();
    let zip = |count: usize, size: usize| {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let content = vec![0; size];
        for n in 0..count {
            writer.start_file(format!("{n}"), zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(&content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    let unpack = |bytes: &[u8]| {
        let place = tempfile::tempdir().unwrap();
        let place = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
        Archive::open(Cursor::new(bytes), "x.apkg", ArchiveLimits::PACKAGE).and_then(|archive| archive.extract(&place))
    };

    let bomb = zip(1, 64 * MIB);
    alone
        .assert_cheap("a bomb", 2 * MIB, || assert!(unpack(&bomb).unwrap_err().to_string().contains("times its size")));
    let most = zip(20_000, 0);
    let open = |bytes: &[u8]| Archive::open(Cursor::new(bytes), "x.apkg", ArchiveLimits::PACKAGE).map(drop);
    alone.assert_cheap("the most entries", 32 * MIB, || assert!(open(&most).is_ok()));
    let more = zip(65_000, 0);
    alone.assert_cheap("more entries", MIB, || assert!(open(&more).is_err()));
}
