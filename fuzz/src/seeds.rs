//! What the targets start from: the hostile cases as the tests forge them, and honest inputs beside them.

use std::io;
use std::path::Path;

use crate::forge::{self, Forged};

/// Writes seeds into the directory that `PAR_FUZZ_CORPUS` names, if it names one: the corpus the fuzzer is about
/// to read. Called when a target starts.
///
/// # Panics
/// When they cannot be had or written.
pub fn plant(seeds: fn() -> io::Result<Vec<Vec<u8>>>) {
    let Some(directory) = std::env::var_os("PAR_FUZZ_CORPUS") else { return };
    let directory = Path::new(&directory);
    let planted = std::fs::create_dir_all(directory).and_then(|()| {
        let numbered = (0..).zip(seeds()?);
        numbered.into_iter().try_for_each(|(number, seed): (usize, _)| {
            std::fs::write(directory.join(format!("seed-{number:03}")), seed)
        })
    });
    planted.expect("the corpus can be written");
}

/// Decisions of the `forged` target: each of its lies once, in the first of two entries.
///
/// # Errors
/// None.
pub fn forged() -> io::Result<Vec<Vec<u8>>> {
    let lies = (0..24).map(|lie| vec![1, 0, 10, 1, 7, lie, 3, 5, 0, 0, 23, 0, 15]);
    let wholes = (0..16).map(|whole| vec![1, 0, 10, 1, 7, 23, 3, 5, 0, 0, 23, 4, whole]);
    Ok(lies.chain(wholes).collect())
}

/// Manifests: those of the cases.
///
/// # Errors
/// When they cannot be read.
pub fn manifests() -> io::Result<Vec<Vec<u8>>> {
    cases("manifest", "agent.yaml")
}

/// Policies: those of the cases.
///
/// # Errors
/// When they cannot be read.
pub fn policies() -> io::Result<Vec<Vec<u8>>> {
    cases("policy", "policy.yaml")
}

/// Methods and URLs, as the target has them.
///
/// # Errors
/// None.
pub fn requests() -> io::Result<Vec<Vec<u8>>> {
    Ok(REQUESTS.iter().map(|seed| seed.as_bytes().to_vec()).collect())
}

/// Files of wheels. The first byte says which, as the target has it.
///
/// # Errors
/// None.
pub fn wheels() -> io::Result<Vec<Vec<u8>>> {
    Ok(WHEELS.iter().map(|seed| seed.as_bytes().to_vec()).collect())
}

/// The files of this name in the cases of one kind.
fn cases(kind: &str, name: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases").join(kind))? {
        match std::fs::read(entry?.path().join(name)) {
            Ok(content) if content.len() < 16 * 1024 => found.push(content),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Files of requirements. The first byte says which, as the target has it.
///
/// # Errors
/// When those of the cases cannot be read.
pub fn requirements() -> io::Result<Vec<Vec<u8>>> {
    let mut seeds: Vec<Vec<u8>> = REQUIREMENTS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    for (first, name) in [(b'0', "requirements.txt"), (b'1', "pyproject.toml"), (b'2', "setup.py")] {
        seeds.extend(cases("manifest", name)?.into_iter().map(|content| [vec![first], content].concat()));
    }
    Ok(seeds)
}

const REQUIREMENTS: [&str; 9] = [
    "0fastapi>=0.100,<1 # why\nuvicorn[standard]==0.*\n\n-r base.txt\n",
    "0a==1 --hash=sha256:00 \\\n  --hash=sha256:11\n",
    "0typing-extensions; python_version < \"3.13\" and (os_name == 'posix' or extra != \"x\")\n",
    "0x @ https://user:pw@example.com/x.whl\ngit+ssh://git@example.com/x\n./local\n",
    "0a[b,c]~=1.0,!=1.1,===x\nb<=1!2.0.post1+local\n",
    "1[project]\nname = 'x'\ndependencies = ['httpx>=0.25', \"redis\"]\n",
    "1[project]\ndynamic = ['dependencies']\n[[tool.x]]\na.b.c = {d = [1, 2]}\n",
    "2setup(install_requires = [\n  'httpx>=0.25', # why\n  \"redis\",\n])",
    "2install_requires=['a'] + more",
];

const REQUESTS: [&str; 16] = [
    "GET https://api.example.com/v1/x?y=z#f",
    "POST https://a.b.example.com:8443/",
    "get HTTPS://SECRET.Example.COM./",
    "GET http://169.254.169.254/latest",
    "GET http://2852039166/",
    "GET http://0xa9.0376.43518/",
    "GET http://[::ffff:169.254.169.254]/",
    "GET https://\u{ff41}pi.example\u{3002}com/",
    "GET https://%61pi.example.com/v1/%2e%2e/admin",
    "GET https://api.example.com/v1/..%2fadmin",
    "GET https://api.example.com/v1//..;/admin",
    "GET https://user:password@api.example.com/",
    "GET https://api.example.com\\@evil.example/",
    "CONNECT https://api.example.com/",
    "GET /v1/../admin",
    "GET //evil.example/x",
];

const WHEELS: [&str; 10] = [
    "0x.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\nx-1.dist-info/RECORD,,\n",
    "0\"a,\"\"b\"\".py\",sha256=AA,1\r\n",
    "0x.py,md5=AA,1\nx.py,,\n\"open,,\n",
    "1Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "1Wheel-Version: 2.0\nwheel-version: 1.0\n",
    "2Metadata-Version: 2.4\nName: Zope.Interface\nVersion: 1.0+x\nRequires-Dist: a>=1; extra == 'b'\nLicense: one\n  two\n\ntext\n",
    "2Name: ../x\nName: y\nVersion: \n",
    "3[console_scripts]\nx = a.b:c\n# comment\n[other]\na/b=c [d]\n",
    "3[gui_scripts]\n../../bin/x = a:b\n",
    "3a = b\n[]\n",
];

/// One archive a trick, as small as the trick allows.
///
/// # Errors
/// None.
pub fn archives() -> io::Result<Vec<Vec<u8>>> {
    let file = |name: &str| Forged::file(name, "content");
    let zeros = Forged::zeros("zeros", 5000);
    let mut seeds: Vec<Vec<u8>> =
        ["a", "a/b/c/d", "../x", "/x", "C:\\x", "a//b", "./a", "\0", "\u{202e}x", "CON", "caf\u{e9}", "d/d/d/d/d", ""]
            .into_iter()
            .map(|name| forge::archive(&[file("agent.yaml"), file(name)]))
            .collect();
    for mode in [0o120_777, 0o060_600, 0o010_600, 0o140_600, 0o104_777, 0] {
        seeds.push(forge::archive(&[file("link").mode(mode), file("link/x")]));
    }
    for (first, second) in [("a", "a"), ("a", "A"), ("caf\u{e9}", "cafe\u{301}"), ("a", "a/b"), ("a", "a. ")] {
        seeds.push(forge::archive(&[file(first), file(second)]));
    }
    for flag in [0, 3, 5, 6, 11, 13] {
        seeds.push(forge::archive(&[Forged { flags: 1 << flag, ..file("a") }]));
    }
    for method in [1, 8, 9, 93, 99] {
        seeds.push(forge::archive(&[Forged { method, ..file("a") }]));
    }
    let [crc, stored, size] = zeros.numbers();
    let wide = [&[1, 0, 16, 0][..], &u64::from(size).to_le_bytes(), &u64::from(stored).to_le_bytes()].concat();
    let described = zeros.clone().described_behind(b"PK\x07\x08");
    let variants = [
        zeros.clone(),
        Forged::directory("d/"),
        described.clone(),
        zeros.clone().described_behind(b""),
        Forged { local_fields: Some([crc, u32::MAX, u32::MAX]), local_extra: Some(wide.clone()), ..zeros.clone() },
        Forged { extra: wide, ..zeros.clone() },
        Forged { crc: 1, ..zeros.clone() },
        Forged { size: 0, ..zeros.clone() },
        Forged { size: u32::MAX, ..zeros.clone() },
        Forged { local_name: Some(b"other".to_vec()), ..zeros.clone() },
        Forged { local_fields: Some([crc, stored, size + 1]), ..zeros.clone() },
        Forged { behind: b"padding".to_vec(), ..zeros.clone() },
        Forged { behind: Vec::new(), ..described },
        Forged { modified: [0xffff; 2], system: 0, ..zeros.clone() },
    ];
    seeds.extend(variants.iter().map(|variant| forge::archive(&[variant.clone(), file("b")])));
    let entries = [file("a"), zeros.clone(), file("c")];
    seeds.extend((0..3).map(|hidden| forge::unlisted(&entries, hidden)));
    seeds.push(forge::miscounted(&entries));
    seeds.push(forge::overlapping(&zeros, &["a", "b"]));
    seeds.push(forge::quoting("outer", &file("inner")));
    let fine = forge::archive(&entries);
    seeds.push([fine.clone(), fine.clone()].concat());
    seeds.push([b"#!".to_vec(), fine.clone()].concat());
    let many: Vec<Forged> = (0..21).map(|number| file(&number.to_string())).collect();
    seeds.push(forge::archive(&many));
    seeds.push(forge::archive(&[Forged::zeros("bomb", 300_000)]));
    seeds.push(forge::archive(&[]));
    seeds.push(fine);
    Ok(seeds)
}
