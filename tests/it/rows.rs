//! `ROWS.md`: which test holds which row of the checklist. Made from the doc comments of the
//! tests, so that it cannot rot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::RangeInclusive;

use par_tests::repository;

use crate::claims;

/// The rows that must have a test. The others are later work, or say nothing about a program.
const ROWS: [RangeInclusive<u16>; 10] =
    [1..=2, 4..=104, 107..=107, 110..=110, 112..=119, 125..=198, 201..=202, 209..=217, 221..=225, 234..=236];

/// Rows that no single test can claim: where they are held, and the words there that say so.
const ELSEWHERE: [(u16, &str, &str); 2] = [
    (139, "tests/src/host.rs", "(\"AGENT_APP_ID\", \"app-1\".into())"),
    (211, "host/src/config/variables.rs", "fn the_page_has_exactly_the_rows_of_the_table()"),
];

/// `R031`, `R150` …
fn rows_in(text: &str) -> impl Iterator<Item = u16> {
    text.split(|character: char| !character.is_ascii_alphanumeric())
        .filter_map(|word| word.strip_prefix('R').filter(|digits| digits.len() == 3)?.parse().ok())
}

/// Each row with its tests.
fn held() -> BTreeMap<u16, BTreeSet<String>> {
    let mut held: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for claim in claims::all() {
        for row in rows_in(&claim.comment) {
            held.entry(row).or_default().insert(claim.test.clone());
        }
    }
    held
}

/// The page is what the sources say; a page that is not is written anew, for the next commit.
#[test]
fn the_page_names_the_test_of_every_row() {
    let held = held();
    let mut page = String::from(
        "# Rows of the checklist and the tests that hold them\n\n\
         Made by the test `rows::the_page_names_the_test_of_every_row` from the doc comments of the tests; not edited by hand.\n\n\
         | Row | Held by |\n|---|---|\n",
    );
    for (row, tests) in &held {
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        writeln!(page, "| R{row:03} | {} |", tests.join("<br>")).unwrap();
    }
    for (row, file, words) in ELSEWHERE {
        let text = fs_err::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains(words), "`{file}` does not hold R{row:03} any more");
        writeln!(page, "| R{row:03} | `{file}` |").unwrap();
    }

    let elsewhere = ELSEWHERE.map(|(row, ..)| row);
    let wanted = ROWS.into_iter().flatten();
    let missing: Vec<String> = wanted
        .filter(|row| !held.contains_key(row) && !elsewhere.contains(row))
        .map(|row| format!("R{row:03}"))
        .collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
    let path = repository().join("tests/ROWS.md");
    if fs_err::read_to_string(&path).unwrap_or_default() != page {
        fs_err::write(&path, page).unwrap();
        panic!("`tests/ROWS.md` was out of date and is written anew; commit it");
    }
}

/// R002, R017, R107, R171, R172, R173, R178, R182, R185, R193: nothing PAR is built from can talk to a control plane or a database.
#[test]
fn no_library_for_a_control_plane_or_a_database_is_linked() {
    let lock = fs_err::read_to_string(repository().join("Cargo.lock")).unwrap();
    let linked: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let banned = [
        "aws-sdk-ecs",
        "aws-sdk-elasticloadbalancing",
        "aws-sdk-elasticloadbalancingv2",
        "aws-sdk-servicediscovery",
        "aws-sdk-route53",
        "aws-sdk-dynamodb",
        "aws-sdk-rds",
        "aws-sdk-ec2",
        "kube",
        "k8s-openapi",
        "bollard",
        "sqlx",
        "diesel",
        "postgres",
        "tokio-postgres",
        "mysql",
        "mysql_async",
        "rusqlite",
        "redis",
        "mongodb",
        "etcd-client",
        "consul",
        "zookeeper",
    ];

    assert!(linked.contains(&"wasmtime"), "the list is read");
    for name in banned {
        assert!(!linked.contains(&name), "{name} is linked");
    }
}
