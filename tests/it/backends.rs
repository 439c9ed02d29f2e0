//! The build backends people use, unmodified, from the real package index, in the sandbox.

use par_tests::{Package, Release, TestHost, package_index};

/// Says what a module has as its answer.
fn agent(module: &str, expression: &str, requirement: &str) -> Package {
    let main = format!(
        "
import {module}
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({{'type': 'http.response.start', 'status': 200, 'headers': []}})
    await send({{'type': 'http.response.body', 'body': str({expression}).encode()}})
"
    );
    Package::asgi(&main).file("requirements.txt", format!("{requirement}\n"))
}

/// R056, hostile 57: a project of these files, which names this backend, is built and imported.
async fn built_with(system: &str, table: &str) {
    let project = format!(
        "[build-system]\n{system}\n\n[project]\nname = \"par-sample\"\nversion = \"1.0\"\ndescription = \"x\"\n\n{table}\n"
    );
    let files = [
        ("pyproject.toml", project.as_str()),
        ("sample/__init__.py", "answer = 42\n"),
        ("PKG-INFO", "Metadata-Version: 2.1\nName: par-sample\nVersion: 1.0\n"),
    ];
    let source = Release::source("par_sample", "1.0", &files);
    let wheelhouse = tempfile::tempdir().unwrap();
    fs_err::write(wheelhouse.path().join(source.file()), source.content()).unwrap();

    let host = TestHost::agent(&agent("sample", "sample.answer", "par-sample"))
        .env("WHEELHOUSE_DIR", wheelhouse.path())
        .env("PAR_BUILD_FROM_SOURCE", "in_sandbox")
        .start()
        .await;

    assert_eq!(host.get("/x").await.text(), "42");
    assert_eq!(host.events("Building in the sandbox").len(), 1);
}

#[tokio::test]
async fn setuptools_builds_in_the_sandbox() {
    let system = "requires = [\"setuptools>=61\"]\nbuild-backend = \"setuptools.build_meta\"";
    built_with(system, "[tool.setuptools]\npackages = [\"sample\"]").await;
}

#[tokio::test]
async fn flit_core_builds_in_the_sandbox() {
    let system = "requires = [\"flit_core>=3.9\"]\nbuild-backend = \"flit_core.buildapi\"";
    built_with(system, "[tool.flit.module]\nname = \"sample\"").await;
}

#[tokio::test]
async fn hatchling_builds_in_the_sandbox() {
    let system = "requires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"";
    built_with(system, "[tool.hatch.build.targets.wheel]\npackages = [\"sample\"]").await;
}

#[tokio::test]
async fn poetry_core_builds_in_the_sandbox() {
    let system = "requires = [\"poetry-core>=2\"]\nbuild-backend = \"poetry.core.masonry.api\"";
    built_with(system, "[tool.poetry]\npackages = [{ include = \"sample\" }]").await;
}

/// Hostile 57: a real source distribution, of before `pyproject.toml`, whose `setup.py` runs where it can do nothing.
#[tokio::test]
async fn a_source_distribution_of_the_index_is_built_with_its_setup_py() {
    let package = agent("docopt", "docopt.__version__", "docopt==0.6.2");
    let host = TestHost::agent(&package).env("PAR_INDEX_URL", package_index());

    let host = host.env("PAR_BUILD_FROM_SOURCE", "in_sandbox").start().await;

    assert_eq!(host.get("/x").await.text(), "0.6.2");
    assert_eq!(host.wait_for_event("Building in the sandbox").await.text_of("sdist"), "docopt-0.6.2.tar.gz");
}
