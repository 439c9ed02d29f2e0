//! How the resolver is run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;
use crate::redact::{RedactedUrl, Secret};

#[tokio::test]
async fn it_sees_nothing_of_our_environment_but_what_is_passed_on() {
    let mut bench = Bench::new();
    let seen = bench.path("seen");
    bench.settings.resolver_environment = vec![("SSL_CERT_FILE", Secret::new("/certificates.pem".to_owned()))];
    bench.settings.search_path = Some("/bin:/usr/bin".to_owned());
    bench.settings.index = Some(RedactedUrl::parse("https://user:5ec4e7@index.example/simple").unwrap());
    bench.resolver(&format!(
        "/usr/bin/env > {0}; echo \"ARGUMENTS=$*\" >> {0}; echo 'lock-version = \"1.0\"'",
        seen.display()
    ));

    bench.install(&["thing"]).await.unwrap();

    let text = fs::read_to_string(&seen).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let of_the_shell = ["PWD", "SHLVL", "_", "OLDPWD"];
    let ours: Vec<&str> = names.into_iter().filter(|name| !of_the_shell.contains(name)).collect();
    assert_eq!(ours, ["ARGUMENTS", "PATH", "SSL_CERT_FILE", "UV_DEFAULT_INDEX", "UV_PYTHON_DOWNLOADS"]);
    let arguments = text.lines().find(|line| line.starts_with("ARGUMENTS=")).unwrap();
    assert!(arguments.contains("--only-binary :all:") && arguments.contains("--no-config"), "{arguments}");
    assert!(!arguments.contains("5ec4e7"), "credentials are not arguments");
}

#[tokio::test]
async fn it_is_told_what_to_prefer_what_there_is_and_what_needs_no_installing() {
    let mut bench = Bench::new();
    bench.constraints = "fastapi==0.165.0\npydantic-core==2.50.4\n".to_owned();
    fs::create_dir_all(bench.path("guest/index/pydantic-core")).unwrap();
    for version in ["2.41.4", "2.50.4"] {
        let native = Wheel::pure("pydantic-core", version).tagged("cp314-cp314-manylinux_2_28_x86_64");
        fs::write(bench.path("wheelhouse").join(native.file()), native.bytes()).unwrap();
    }
    let seen = bench.path("seen");
    bench.resolver(&format!(
        "/bin/cat requirements.in constraints.txt excludes.txt pylock.toml > {0}; echo \"$*\" >> {0}; echo 'lock-version = \"1.0\"'",
        seen.display()
    ));

    bench.install(&["uvicorn[standard]>=0.30", "grpcio"]).await.unwrap();

    let text = fs::read_to_string(&seen).unwrap();
    assert!(
        text.starts_with(
            "grpcio\nuvicorn[standard]>=0.30\npydantic-core!=2.41.4\ngrpcio\ngrpcio-tools\nhttptools\nuvloop\nwatchfiles\n"
        ),
        "{text}"
    );
    for part in [
        "{ name = \"fastapi\", version = \"0.165.0\" },\n  { name = \"pydantic-core\", version = \"2.50.4\" },",
        &format!("--index {}", bench.path("guest/index").display()),
        "--output-file pylock.toml",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(bench.told("the guest carries an importable `grpc`"));
}

#[tokio::test]
async fn what_replaces_a_part_of_the_guest_is_resolved_together_with_the_rest() {
    let mut bench = Bench::new().resolving_to(&[Wheel::pure("starlette", "0.35.0")]);
    bench.constraints = "fastapi==0.165.0\nstarlette==1.10.0\n".to_owned();
    let (seen, lock) = (bench.path("seen"), bench.path("pylock.toml"));
    bench.resolver(&format!("/bin/cat requirements.in >> {}; /bin/cat {}", seen.display(), lock.display()));

    let layer = bench.install(&["starlette<1"]).await.unwrap().unwrap();

    assert_eq!(layer.distributions()[0].version, "0.35.0");
    assert_eq!(fs::read_to_string(&seen).unwrap(), "starlette<1\nstarlette<1\nfastapi\n");
}

#[tokio::test]
async fn without_a_solution_for_the_rest_of_the_guest_the_agent_has_what_it_asked_for() {
    let mut bench = Bench::new().resolving_to(&[Wheel::pure("starlette", "0.35.0")]);
    bench.constraints = "fastapi==0.165.0\nstarlette==1.10.0\n".to_owned();
    let lock = bench.path("pylock.toml");
    bench.resolver(&format!(
        "while read -r line; do if [ \"$line\" = fastapi ]; then echo 'error: No solution found' >&2; exit 1; fi; done < requirements.in; /bin/cat {}",
        lock.display()
    ));

    let layer = bench.install(&["starlette<1"]).await.unwrap().unwrap();

    assert_eq!(layer.distributions()[0].version, "0.35.0");
}

#[tokio::test]
async fn another_version_is_refused() {
    let bench = Bench::new();
    program(&bench.path("uv"), "#!/bin/sh\necho 'uv 0.1.0 (old)'\n");

    let error = bench.install(&["thing"]).await.unwrap_err();

    assert!(error.to_string().ends_with(&format!("is version `0.1.0`, expected `{UV_VERSION}`")), "{error}");
    assert_eq!(error.hint().unwrap(), format!("run `just tools`, or set `PAR_UV` to a `uv` of version {UV_VERSION}"));
}

#[tokio::test]
async fn it_is_found_where_the_recipe_puts_it_then_on_the_search_path() {
    let mut bench = Bench::new();
    bench.settings.uv = None;
    let missing = bench.install(&["thing>=1", "other"]).await.unwrap_err();
    let expected = format!("`uv` {UV_VERSION} is needed to install `other` and `thing>=1` and was not found");
    assert_eq!(missing.to_string(), expected);
    let hint = missing.hint().unwrap();
    assert!(hint.starts_with("run `par lock` where `uv` is") && hint.contains("`PAR_UV`"), "{hint}");

    let answers = |marker: &str| {
        format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'uv {UV_VERSION}'; else echo '{marker}' >&2; exit 1; fi\n"
        )
    };
    fs::create_dir(bench.path("bin")).unwrap();
    program(&bench.path("bin/uv"), &answers("error: from the path"));
    bench.settings.search_path = Some(bench.path("bin").display().to_string());
    let error = bench.install(&["thing"]).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot resolve the requirements of agent `weather`: from the path");

    let pinned = bench.path(&format!("cache/tools/uv-{UV_VERSION}/bin"));
    fs::create_dir_all(&pinned).unwrap();
    program(&pinned.join("uv"), &answers("error: from the recipe"));
    let error = bench.install(&["thing"]).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot resolve the requirements of agent `weather`: from the recipe");
}

#[tokio::test]
async fn one_that_does_not_come_back_is_stopped_in_time() {
    let mut bench = Bench::new();
    bench.settings.timeout = Duration::from_millis(300);
    bench.resolver("exec /bin/sleep 600");
    let start = Instant::now();

    let sentence = bench.refusal().await;

    assert_eq!(sentence, "installing the dependencies of agent `weather` timed out after 0 s");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn an_answer_that_is_no_lock_is_refused() {
    let bench = Bench::new();
    bench.lock("lock-version = \"9.0\"\n");

    let sentence = bench.refusal().await;

    assert_eq!(sentence, "`uv` wrote a lock that cannot be used");
}
