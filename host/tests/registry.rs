//! Installing from the real package index with the real resolver.
//!
//! The only tests that leave this machine: what they check is that PAR, `uv` and the index agree.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use par_apkg::requirement::{DependencySource, Requirements};
use par_host::install::{
    DepsLayer, GuestFiles, InstallError, InstallSettings, Installer, PASSED_TO_RESOLVER, UV_VERSION,
};
use par_host::redact::Secret;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

struct Bench {
    directory: TempDir,
    settings: InstallSettings,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let guest = directory.path().join("guest");
        fs::create_dir_all(&guest).unwrap();
        fs::write(guest.join("guest.json"), "{}").unwrap();
        let carried = "anyio==4.16.0\nfastapi==0.165.0\npydantic==2.14.3\npydantic-core==2.50.4\nstarlette==1.10.0\n";
        fs::write(guest.join("constraints.txt"), carried).unwrap();
        offer(&guest.join("index/pydantic-core"), "pydantic_core-2.50.4", "pydantic-core", "2.50.4");
        let mut settings = InstallSettings::new(directory.path().join("cache"));
        settings.uv = Some(resolver());
        settings.search_path = variable("PATH");
        settings.resolver_environment =
            PASSED_TO_RESOLVER.iter().filter_map(|name| Some((*name, Secret::new(variable(name)?)))).collect();
        Self { directory, settings }
    }

    async fn install(&self, lines: &[&str]) -> Result<Option<DepsLayer>, InstallError> {
        self.install_all(&requirements(lines, None)).await
    }

    /// What `par lock` writes.
    async fn lock(&self, lines: &[&str]) -> String {
        let guest = GuestFiles::read(&self.directory.path().join("guest")).unwrap();
        let installer = Installer { guest: &guest, settings: &self.settings, jobs: None, progress: &|_| {} };
        installer.lock("weather", &requirements(lines, None)).await.unwrap()
    }

    async fn install_all(&self, requirements: &Requirements) -> Result<Option<DepsLayer>, InstallError> {
        let guest = GuestFiles::read(&self.directory.path().join("guest")).unwrap();
        let installer = Installer { guest: &guest, settings: &self.settings, jobs: None, progress: &|_| {} };
        installer.layer("weather", requirements).await
    }

    async fn refusal(&self, lines: &[&str]) -> String {
        self.install(lines).await.expect_err("it should have been refused").to_string()
    }
}

fn requirements(lines: &[&str], lock: Option<String>) -> Requirements {
    let list = lines.iter().map(|line| line.parse().unwrap()).collect();
    Requirements { source: DependencySource::RequirementsTxt, list, lock, notices: Vec::new() }
}

#[expect(clippy::disallowed_methods, reason = "a test finds the tools of the machine it runs on")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Puts a wheel of metadata alone into the index of a guest.
fn offer(project: &Path, stem: &str, name: &str, version: &str) {
    fs::create_dir_all(project).unwrap();
    let mut wheel = ZipWriter::new(Cursor::new(Vec::new()));
    let metadata =
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: typing-extensions>=4.14.1\n");
    let parts = [("METADATA", metadata.as_str()), ("WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"), ("RECORD", "")];
    for (file, text) in parts {
        wheel.start_file(format!("{stem}.dist-info/{file}"), SimpleFileOptions::default()).unwrap();
        wheel.write_all(text.as_bytes()).unwrap();
    }
    let file = format!("{stem}-py3-none-any.whl");
    fs::write(project.join(&file), wheel.finish().unwrap().into_inner()).unwrap();
    fs::write(project.join("index.html"), format!("<a href=\"{file}\">{file}</a>\n")).unwrap();
}

/// The `uv` of `PAR_UV` or of `just tools`.
fn resolver() -> PathBuf {
    let cache = variable("PAR_CACHE_DIR").or_else(|| Some(format!("{}/.cache/par", variable("HOME")?)));
    let installed = Path::new(&cache.unwrap_or_default()).join(format!("tools/uv-{UV_VERSION}/bin/uv"));
    let uv = variable("PAR_UV").map_or(installed, PathBuf::from);
    assert!(uv.is_file(), "there is no `{}`; run: just tools", uv.display());
    uv
}

fn native_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(native_files(&path));
        } else if fs::read(&path).unwrap().starts_with(b"\x7fELF") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn the_dependencies_of_a_new_agent_install_and_start_offline_afterwards() {
    let mut bench = Bench::new();
    let lines = ["fastapi", "uvicorn[standard]>=0.30", "watchdog", "jinja2", "pyyaml", "grpcio>=1.60", "setuptools"];

    let layer = bench.install(&lines).await.unwrap().unwrap();

    let site = layer.site_packages();
    for present in ["uvicorn", "watchdog/observers", "jinja2", "markupsafe", "yaml", "setuptools"] {
        assert!(site.join(present).join("__init__.py").is_file(), "{present}");
    }
    for absent in ["fastapi", "pydantic_core", "grpc", "uvloop", "watchfiles", "distutils-precedence.pth"] {
        assert!(!site.join(absent).exists(), "{absent}");
    }
    assert_eq!(native_files(&site), Vec::<PathBuf>::new());

    bench.settings.uv = Some(PathBuf::from("/bin/false"));
    bench.settings.resolver_environment.clear();
    assert_eq!(bench.install(&lines).await.unwrap(), Some(layer));
}

/// The public index answers PAR itself: pages as JSON, wheels from its other host.
#[tokio::test]
async fn a_lock_is_installed_from_the_index_by_par_alone() {
    let lines = ["fastapi", "uvicorn>=0.30", "watchdog", "jinja2"];
    let lock = Bench::new().lock(&lines).await;
    let mut elsewhere = Bench::new();
    (elsewhere.settings.uv, elsewhere.settings.search_path) = (Some("/nowhere/uv".into()), None);

    let layer = elsewhere.install_all(&requirements(&lines, Some(lock.clone()))).await.unwrap().unwrap();

    assert!(layer.site_packages().join("uvicorn/__init__.py").is_file());
    assert!(lock.contains(&layer.tree().to_string()), "{lock}");
}

#[tokio::test]
async fn native_code_without_a_fallback_is_named_with_the_file() {
    let sentence = Bench::new().refusal(&["numpy"]).await;

    assert!(sentence.starts_with("agent `weather` needs `numpy=="), "{sentence}");
    assert!(sentence.contains("which has no wheel that runs in the sandbox (`numpy"), "{sentence}");
    assert!(sentence.ends_with("is native code for Linux)"), "{sentence}");

    let sentence = Bench::new().refusal(&["click", "pandas>=2"]).await;
    assert!(sentence.starts_with("agent `weather` needs `numpy=="), "{sentence}");
    assert!(sentence.contains("` (through `pandas>=2`), which has no wheel"), "{sentence}");
}

#[tokio::test]
async fn requirements_without_a_solution_say_which_and_why() {
    let bench = Bench::new();
    let cases: [(&str, &str); 5] = [
        (
            "pydantic==2.11.10",
            "agent `weather` needs `pydantic==2.11.10`, but the guest carries `pydantic-core==2.50.4`: Because there is no version \
             of pydantic-core==2.33.2 and pydantic==2.11.10 depends on pydantic-core==2.33.2, we can conclude that \
             pydantic==2.11.10 cannot be used. And because you require pydantic==2.11.10",
        ),
        (
            "pydantic-core==0.0.1",
            "agent `weather` needs `pydantic-core==0.0.1`, but the guest carries `pydantic-core==2.50.4`",
        ),
        ("docopt", "agent `weather` needs `docopt`, which has no wheel for Python 3.14"),
        ("click==0.0.99", "agent `weather` needs `click==0.0.99`, which was never published"),
        (
            "par-no-such-distribution",
            "agent `weather` needs `par-no-such-distribution`, which the package index does not have",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(bench.refusal(&[line]).await, expected);
    }
}

#[tokio::test]
async fn the_agents_pins_win_over_what_the_guest_carries() {
    let bench = Bench::new();
    let versions = |layer: Option<DepsLayer>| -> Vec<String> {
        let layer = layer.unwrap();
        layer.distributions().iter().map(|one| format!("{}=={}", one.name, one.version)).collect()
    };

    let layer = versions(bench.install(&["fastapi==0.109.0"]).await.unwrap());

    // What the guest carries stays where it suits: pydantic and anyio are not there.
    assert!(layer.contains(&"fastapi==0.109.0".to_owned()), "{layer:?}");
    assert!(layer.contains(&"starlette==0.35.1".to_owned()), "{layer:?}");
    assert!(!layer.iter().any(|one| one.starts_with("pydantic") || one.starts_with("anyio==")), "{layer:?}");

    // FastAPI is not asked for, but the guest's would not run with this Starlette.
    let layer = versions(bench.install(&["starlette==0.35.1"]).await.unwrap());
    assert!(layer.contains(&"starlette==0.35.1".to_owned()), "{layer:?}");
    assert!(layer.iter().any(|one| one.starts_with("fastapi==0.1")), "{layer:?}");

    // Without a pin everything stays.
    let layer = versions(bench.install(&["fastapi>=0.100", "pydantic>=2,<3"]).await.unwrap());
    let is_carried =
        |one: &String| ["anyio==", "fastapi==", "pydantic", "starlette=="].iter().any(|name| one.starts_with(name));
    assert!(!layer.iter().any(is_carried), "{layer:?}");
}
