use std::collections::BTreeSet;
use std::time::Duration;

use super::variables::{Fallback, VARIABLES};
use super::*;

fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, Mistakes> {
    let pairs = std::iter::once(("AGENT_APP_ID", "app-1")).chain(pairs);
    Config::parse(&Environment::of_pairs(pairs))
}

#[track_caller]
fn config<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Config {
    parse(pairs).unwrap()
}

/// The variables with mistakes.
#[track_caller]
fn mistaken<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<&'static str> {
    let names = |mistake: &Mistake| match mistake {
        Mistake::Missing { variable } | Mistake::Invalid { variable, .. } => *variable,
    };
    parse(pairs).unwrap_err().iter().map(names).collect()
}

#[test]
fn an_identity_is_all_it_takes() {
    let config = config([]);

    assert_eq!(config.identity, Identity { app_id: "app-1".to_owned(), deployment_id: None });
    assert_eq!((config.ports.rest.get(), config.ports.a2a.get(), config.ports.ui.get()), (8080, 50051, 3000));
    assert!(config.ports.multiplexed && !config.serve_at_root);
    assert_eq!(config.base_path.as_path(), "/");
    assert_eq!(config.package.fetch.s3.region, "us-east-2");
    assert_eq!(config.package.fetch.s3.bucket, "pixell-agent-packages");
    assert_eq!(config.package.fetch.demands.max_bytes, 100 << 20);
    assert_eq!(config.boot.budget, Duration::from_secs(5));
    assert_eq!(config.boot.hard_limit, None);
    assert_eq!(config.boot.startup_timeout, Duration::from_secs(300));
    assert_eq!(config.boot.failures, 0);
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    assert_eq!(config.limits.memory, MemoryLimit::DEFAULT);
    assert_eq!(config.limits.request_timeout, RequestTimeout::DEFAULT);
    assert_eq!(config.a2a_message_bytes, 4 << 20);
    assert!(
        config.package.path.is_none() && config.package.url.is_none() && config.package.fetch.demands.digest.is_none()
    );
    assert!(config.install.wheelhouse.is_none() && config.install.index.is_none());
    assert_eq!(config.log_level, Level::Info);
    assert_eq!(config.remarks, []);
}

#[test]
fn a_missing_or_blank_identity_is_a_mistake_and_is_never_made_up() {
    for value in [None, Some(""), Some("   "), Some("\t\n")] {
        let pairs = value.map(|value| ("AGENT_APP_ID", value)).into_iter().chain([("DEPLOYMENT_ID", "dep-1")]);

        let mistakes = Config::parse(&Environment::of_pairs(pairs)).unwrap_err();

        assert_eq!(mistakes.0, [Mistake::Missing { variable: "AGENT_APP_ID" }], "{value:?}");
    }
}

#[test]
fn an_identity_is_kept_exactly_as_given() {
    for id in [" app 1 ", "ünïcode/../x", "ed8784f3-b602-481c-8701-3b6406c8fd98"] {
        assert_eq!(config([("AGENT_APP_ID", id)]).identity.app_id, id);
    }
}

#[test]
fn a_deployment_is_optional_and_blank_means_none() {
    assert_eq!(config([("DEPLOYMENT_ID", "dep-456")]).identity.deployment_id.as_deref(), Some("dep-456"));
    assert_eq!(config([("DEPLOYMENT_ID", "")]).identity.deployment_id, None);
    assert_eq!(config([("DEPLOYMENT_ID", "  ")]).identity.deployment_id, None);
}

#[test]
fn two_bad_variables_give_two_mistakes_that_name_variable_value_and_expectation() {
    let mistakes = parse([("REST_PORT", "0"), ("BASE_PATH", "/a//b")]).unwrap_err();

    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "invalid `REST_PORT`: expected a whole number from 1 to 65535, got `0`",
            "invalid `BASE_PATH`: expected a path without `//`, got `/a//b`",
        ]
    );
}

#[test]
fn a_missing_identity_does_not_hide_other_mistakes() {
    let environment =
        Environment::of_pairs([("REST_PORT", "abc"), ("MAX_PACKAGE_SIZE_MB", "0"), ("LOG_LEVEL", "loud")]);

    assert_eq!(Config::parse(&environment).unwrap_err().iter().count(), 4);
}

#[test]
fn ports_are_whole_numbers_from_1_to_65535() {
    for variable in ["REST_PORT", "A2A_PORT", "UI_PORT"] {
        for value in ["0", "-1", "65536", "abc", "80.5", "", "0x50", "8080 8081"] {
            assert_eq!(mistaken([(variable, value)]), [variable], "{value:?}");
        }
    }
    let ports = config([("REST_PORT", "1"), ("A2A_PORT", "65535"), ("UI_PORT", "2")]).ports;
    assert_eq!((ports.rest.get(), ports.a2a.get(), ports.ui.get()), (1, 65535, 2));
}

#[test]
fn ports_that_are_bound_together_must_differ() {
    assert_eq!(mistaken([("REST_PORT", "9000"), ("A2A_PORT", "9000")]), ["A2A_PORT"]);
    assert_eq!(mistaken([("A2A_PORT", "3000")]), ["UI_PORT"]);
    assert_eq!(mistaken([("REST_PORT", "3000"), ("MULTIPLEXED", "false")]), ["UI_PORT"]);
    assert_eq!(config([("REST_PORT", "3000")]).ports.rest, config([]).ports.ui);
}

#[test]
fn multiplexed_takes_words_for_yes_and_no_and_warns_about_others() {
    for (value, expected) in [
        ("true", true),
        ("1", true),
        ("YES", true),
        ("on", true),
        ("false", false),
        ("0", false),
        ("No", false),
        ("off", false),
    ] {
        let config = config([("MULTIPLEXED", value)]);
        assert_eq!((config.ports.multiplexed, config.remarks), (expected, Vec::new()), "{value}");
    }
    for value in ["perhaps", ""] {
        let config = config([("MULTIPLEXED", value)]);
        assert!(config.ports.multiplexed);
        assert_eq!(config.remarks[0].variable, "MULTIPLEXED");
        assert_eq!(config.remarks[0].value, value);
    }
    assert!(!config([("UI_MULTIPLEXED", "false")]).ports.multiplexed);
    assert!(config([("MULTIPLEXED", "true"), ("UI_MULTIPLEXED", "false")]).ports.multiplexed);
}

#[test]
fn a_base_path_of_the_platform_passes_and_another_is_remarked() {
    let platform = config([("BASE_PATH", "/agents/{AGENT_APP_ID}/")]);
    assert_eq!(platform.base_path.as_path(), "/agents/app-1");
    assert_eq!(platform.remarks, []);

    let other = config([("BASE_PATH", "custom")]);
    assert_eq!(other.base_path.as_path(), "/custom");
    assert_eq!(other.remarks[0].variable, "BASE_PATH");
}

#[test]
fn a_region_of_another_form_only_warns() {
    assert_eq!(config([("AWS_REGION", "us-west-2")]).remarks, []);
    let config = config([("AWS_REGION", "invalid-region")]);
    assert_eq!(config.package.fetch.s3.region, "invalid-region");
    assert_eq!(config.remarks[0].variable, "AWS_REGION");
}

#[test]
fn buckets_follow_the_naming_rules() {
    let long = "a".repeat(64);
    for value in ["ab", &long, "My_Bucket", "-bucket", "bucket.", "buck et"] {
        assert_eq!(mistaken([("S3_BUCKET", value)]), ["S3_BUCKET"], "{value}");
    }
    assert_eq!(config([("S3_BUCKET", "my-test.bucket-1")]).package.fetch.s3.bucket, "my-test.bucket-1");
}

#[test]
fn packages_come_over_https_or_from_s3_and_from_nowhere_else() {
    for value in [
        "http://host/x.apkg",
        "file:///etc/passwd",
        "ftp://host/x",
        "x.apkg",
        "   ",
        "https://",
        "s3:///key",
        "data:,x",
    ] {
        assert_eq!(mistaken([("PACKAGE_URL", value)]), ["PACKAGE_URL"], "{value:?}");
    }
    for value in [
        "https://example.com/p.apkg",
        "s3://bucket/key",
        "HTTPS://example.com/p.apkg",
        "S3://bucket/key",
        " s3://bucket/key ",
    ] {
        assert!(config([("PACKAGE_URL", value)]).package.url.is_some(), "{value:?}");
    }
    assert!(config([("PACKAGE_URL", "")]).package.url.is_none());
}

#[test]
fn a_mistake_in_a_url_does_not_print_its_secrets() {
    let mistakes = parse([("PACKAGE_URL", "http://user:pa55@host/x.apkg?X-Amz-Signature=5ec4e7")]).unwrap_err();

    let text = format!("{mistakes:?} {}", mistakes.0[0]);
    assert!(text.contains("http://host/x.apkg"), "{text}");
    assert!(!text.contains("pa55") && !text.contains("5ec4e7"), "{text}");
}

#[test]
fn a_whole_configuration_prints_none_of_its_secrets() {
    let config = config([
        ("PACKAGE_URL", "https://host/x.apkg?X-Amz-Signature=5ec4e7"),
        ("AWS_ACCESS_KEY_ID", "5ec4e7"),
        ("AWS_SECRET_ACCESS_KEY", "5ec4e7"),
        ("PAR_INDEX_URL", "https://token:pa55@index.example/simple"),
    ]);

    let text = format!("{config:?}");
    assert!(text.contains("https://index.example/simple"), "{text}");
    assert!(!text.contains("pa55") && !text.contains("5ec4e7"), "{text}");
}

#[test]
fn digests_are_64_hex_digits_in_any_case() {
    for value in ["abc123", &"g".repeat(64), &"a".repeat(65)] {
        assert_eq!(mistaken([("PACKAGE_SHA256", value)]), ["PACKAGE_SHA256"], "{value}");
    }
    let upper = config([("PACKAGE_SHA256", &*"AB".repeat(32))]).package.fetch.demands.digest.unwrap();
    assert_eq!(upper.to_hex(), "ab".repeat(32));
}

#[test]
fn package_sizes_are_positive_and_very_large_ones_are_remarked() {
    for value in ["0", "-1", "not-a-number", "1.5", ""] {
        assert_eq!(mistaken([("MAX_PACKAGE_SIZE_MB", value)]), ["MAX_PACKAGE_SIZE_MB"], "{value:?}");
    }
    assert_eq!(config([("MAX_PACKAGE_SIZE_MB", "200")]).package.fetch.demands.max_bytes, 200 << 20);
    assert_eq!(config([("MAX_PACKAGE_SIZE_MB", "10001")]).remarks[0].variable, "MAX_PACKAGE_SIZE_MB");
}

#[test]
fn boot_times_are_numbers_and_the_hard_limit_is_a_multiple_of_the_budget() {
    for (variable, values) in [
        ("BOOT_BUDGET_MS", &["0", "-100", "not-a-number", "nan", "inf"][..]),
        ("BOOT_HARD_LIMIT_MULTIPLIER", &["-1", "x", "nan"][..]),
        ("STARTUP_TIMEOUT_SEC", &["0", "-1", "x"][..]),
        ("BOOT_FAILURE_COUNT", &["-1", "x", "1.5"][..]),
        ("PAR_EXIT_CODES", &["", "two", "By_Class"][..]),
        ("TEST_BOOT_DELAY_MS", &["-1", "x"][..]),
        ("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", &["-1", "x"][..]),
        ("REQUEST_TIMEOUT_SEC", &["0", "86401", "x"][..]),
    ] {
        for value in values {
            assert_eq!(mistaken([(variable, *value)]), [variable], "{value}");
        }
    }
    let boot = config([("BOOT_BUDGET_MS", "10.5"), ("BOOT_HARD_LIMIT_MULTIPLIER", "2.0")]).boot;
    assert_eq!((boot.budget, boot.hard_limit), (Duration::from_micros(10_500), Some(Duration::from_millis(21))));
}

#[test]
fn names_of_earlier_runtimes_work() {
    let boot = config([("BOOT_TEST_DELAY_MS", "50"), ("BOOT_RETRY_COUNT", "2")]).boot;

    assert_eq!((boot.test_delay, boot.failures), (Duration::from_millis(50), 2));
    assert_eq!(mistaken([("BOOT_RETRY_COUNT", "x")]), ["BOOT_RETRY_COUNT"]);
}

#[test]
fn limits_have_bounds() {
    assert_eq!(mistaken([("PAR_MEMORY_MIB", "63")]), ["PAR_MEMORY_MIB"]);
    assert_eq!(mistaken([("PAR_INSTANCES", "0")]), ["PAR_INSTANCES"]);
    assert_eq!(mistaken([("PAR_INSTANCES", "257")]), ["PAR_INSTANCES"]);
    assert_eq!(mistaken([("A2A_MAX_MESSAGE_BYTES", "0")]), ["A2A_MAX_MESSAGE_BYTES"]);
    let limits = config([("PAR_MEMORY_MIB", "128"), ("PAR_INSTANCES", "3"), ("REQUEST_TIMEOUT_SEC", "0.5")]).limits;
    assert_eq!((limits.memory.bytes(), limits.instances.get()), (128 << 20, 3));
    assert_eq!(limits.request_timeout.duration(), Duration::from_millis(500));
}

#[test]
fn an_agent_gets_one_instance_a_core() {
    let places = |cores| Places {
        executable_dir: Some("/opt/par/bin".into()),
        user_cache_dir: None,
        temporary_dir: "/scratch".into(),
        cores: std::num::NonZeroUsize::new(cores).unwrap(),
        search_path: Some("/usr/bin".to_owned()),
        network: Vec::new(),
    };
    let config =
        |cores| Config::parse(&Environment::of_pairs([("AGENT_APP_ID", "app-1")]).with_places(places(cores))).unwrap();

    assert_eq!(config(4).limits.instances.get(), 4);
    assert_eq!(config(1024).limits.instances.get(), 256);
    assert_eq!(config(4).guest_dir, PathBuf::from("/opt/par/lib/par/guest"));
    assert_eq!(config(4).cache_dir, PathBuf::from("/scratch/par-cache"));
    assert_eq!(config(4).install.search_path.as_deref(), Some("/usr/bin"));
}

#[test]
fn directories_and_the_index_are_taken_as_given() {
    let config = config([
        ("WHEELHOUSE_DIR", "/wheelhouse"),
        ("PAR_CACHE_DIR", "/c"),
        ("PAR_GUEST_DIR", "g"),
        ("PAR_UV", "/bin/uv"),
        ("INSTALL_TIMEOUT_SEC", "2"),
        ("AGENT_PACKAGE_PATH", "/a.apkg"),
    ]);

    assert_eq!(config.install.wheelhouse, Some(PathBuf::from("/wheelhouse")));
    assert_eq!(config.install.cache, PathBuf::from("/c"));
    assert_eq!(config.install.uv, Some(PathBuf::from("/bin/uv")));
    assert_eq!(config.install.timeout, Duration::from_secs(2));
    assert_eq!((config.cache_dir, config.guest_dir), (PathBuf::from("/c"), PathBuf::from("g")));
    assert_eq!(config.package.path, Some(PathBuf::from("/a.apkg")));
    for index in ["ftp://index.example/simple", "http://index.example/simple"] {
        assert_eq!(mistaken([("PAR_INDEX_URL", index)]), ["PAR_INDEX_URL"]);
    }
    assert_eq!(mistaken([("PAR_GUEST_DIR", "")]), ["PAR_GUEST_DIR"]);
}

#[test]
fn log_levels_are_words() {
    for (value, expected) in [
        ("debug", Level::Debug),
        ("INFO", Level::Info),
        ("Warning", Level::Warning),
        ("warn", Level::Warning),
        ("ERROR", Level::Error),
    ] {
        assert_eq!(config([("LOG_LEVEL", value)]).log_level, expected, "{value}");
    }
    for wrong in ["loud", "hyper=debug", "info,loud", "par=loud"] {
        assert_eq!(mistaken([("LOG_LEVEL", wrong)]), ["LOG_LEVEL"], "{wrong}");
    }
}

#[test]
fn the_level_may_be_said_as_to_other_rust_programs() {
    for (value, expected) in [
        ("debug", Level::Debug),
        ("off", Level::Error),
        ("warn,hyper=debug", Level::Warning),
        ("hyper=trace, par=debug, error", Level::Debug),
    ] {
        assert_eq!(config([("RUST_LOG", value)]).log_level, expected, "{value}");
        let values = [("AGENT_APP_ID", "app-1"), ("RUST_LOG", value)];
        assert_eq!(Environment::of_pairs(values).log_level(), expected, "{value}");
    }
    assert_eq!(config([("RUST_LOG", "error"), ("LOG_LEVEL", "debug")]).log_level, Level::Debug);
}

#[test]
fn the_log_knows_identity_and_level_before_the_configuration_is_checked() {
    let environment =
        Environment::of_pairs([("AGENT_APP_ID", "app-1"), ("DEPLOYMENT_ID", " "), ("LOG_LEVEL", "debug")]);
    assert_eq!(environment.identity(), (Some("app-1".to_owned()), None));
    assert_eq!(environment.log_level(), Level::Debug);

    let wrong = Environment::of_pairs([("LOG_LEVEL", "loud")]);
    assert_eq!((wrong.identity(), wrong.log_level()), ((None, None), Level::Info));
}

#[test]
fn a_refused_configuration_still_says_how_long_to_wait() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let wait = |count| failures_of(&Environment::of_pairs([("BOOT_FAILURE_COUNT", count), ("PAR_CACHE_DIR", cache)]));

    assert_eq!(wait("2").back_off(), Some(Duration::from_secs(4)));
    assert_eq!(wait("0").back_off(), None);
    assert_eq!(wait("x").back_off(), None);
}

#[test]
fn a_value_that_is_not_text_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt;
    let mut environment = Environment::of_pairs([("AGENT_APP_ID", "app-1")]);
    environment.replace("BASE_PATH", std::ffi::OsString::from_vec(vec![b'/', 0xff]));

    let mistakes = Config::parse(&environment).unwrap_err();

    assert_eq!(mistakes.0[0].to_string(), "invalid `BASE_PATH`: expected UTF-8 text, got `/\u{fffd}`");
}

#[test]
fn the_environment_template_of_the_platform_parses_without_remarks() {
    let config = config([
        ("DEPLOYMENT_ID", "dep-1"),
        ("PACKAGE_URL", "s3://pixell-agent-packages/agents/app-1.apkg"),
        ("PACKAGE_SHA256", &"0".repeat(64)),
        ("AWS_REGION", "us-east-2"),
        ("S3_BUCKET", "pixell-agent-packages"),
        ("REST_PORT", "8080"),
        ("A2A_PORT", "50051"),
        ("UI_PORT", "3000"),
        ("BASE_PATH", "/agents/app-1"),
        ("MULTIPLEXED", "true"),
        ("MAX_PACKAGE_SIZE_MB", "100"),
        ("BOOT_BUDGET_MS", "5000"),
        ("BOOT_HARD_LIMIT_MULTIPLIER", "2.0"),
        ("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", "30"),
    ]);

    assert_eq!(config.remarks, []);
}

#[test]
fn every_variable_of_the_table_is_read_and_every_default_is_valid() {
    let environment = Environment::of_pairs([]);
    let mut reader = Reader::new(&environment);
    let _ = Config::read(&mut reader, environment.places());

    assert_eq!(reader.read, VARIABLES.iter().map(|variable| variable.name).collect::<BTreeSet<_>>());
    for variable in VARIABLES {
        if let Fallback::Value(value) = variable.default {
            assert!(parse([(variable.name, value)]).is_ok(), "the default of `{}` is not valid", variable.name);
        }
    }
}
