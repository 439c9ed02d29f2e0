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
async fn it_is_told_what_the_guest_carries_and_what_needs_no_installing() {
    let mut bench = Bench::new();
    bench.constraints = "fastapi==0.165.0\npydantic-core==2.50.4\n".to_owned();
    let seen = bench.path("seen");
    bench.resolver(&format!(
        "/bin/cat requirements.in constraints.txt excludes.txt > {}; echo 'lock-version = \"1.0\"'",
        seen.display()
    ));

    bench.install(&["uvicorn[standard]>=0.30", "grpcio"]).await.unwrap();

    let text = fs::read_to_string(&seen).unwrap();
    assert_eq!(
        text,
        "grpcio\nuvicorn[standard]>=0.30\nfastapi==0.165.0\npydantic-core==2.50.4\ngrpcio\ngrpcio-tools\nhttptools\nuvloop\nwatchfiles\n"
    );
    assert!(bench.told("the guest carries an importable `grpc`"));
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
    let missing = bench.install(&["thing"]).await.unwrap_err();
    assert_eq!(missing.to_string(), format!("`uv` {UV_VERSION} is needed to install dependencies and was not found"));

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
