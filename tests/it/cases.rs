//! `HOSTILE.md`: which test holds which hostile case. The tests are found by their doc comments, so
//! that the page cannot rot.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use par_tests::repository;

use crate::claims;

/// The cases: each has a test, or a reason why there is none.
const CASES: RangeInclusive<u16> = 1..=188;

/// The numbers after the word `hostile`, as in `hostile 21, 22`.
fn cases_in(comment: &str) -> BTreeSet<u16> {
    let mut cases = BTreeSet::new();
    let mut is_list = false;
    for word in comment.split_whitespace() {
        match word.trim_matches(|other: char| !other.is_ascii_alphanumeric()).parse() {
            Ok(case) if is_list => {
                cases.insert(case);
            }
            _ => is_list = word.eq_ignore_ascii_case("hostile"),
        }
    }
    cases
}

/// The page is what the sources say; a page that is not is written anew, for the next commit.
#[test]
fn the_page_names_the_test_of_every_case() {
    let mut held: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for claim in claims::all() {
        for case in cases_in(&claim.comment) {
            held.entry(case).or_default().insert(format!("`{}`", claim.test));
        }
    }
    let path = repository().join("tests/HOSTILE.md");
    let page = fs_err::read_to_string(&path).unwrap();
    let mut rewritten = String::new();
    let (mut last, mut bare) = (0, Vec::new());
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let line = match (cells.as_slice(), cells.get(1).and_then(|number| number.parse::<u16>().ok())) {
            (["", _, what, _, otherwise, ""], Some(case)) => {
                assert_eq!(case, last + 1, "the cases are counted");
                last = case;
                let tests = held.remove(&case).unwrap_or_default();
                if tests.is_empty() && otherwise.is_empty() && CASES.contains(&case) {
                    bare.push(case);
                }
                let tests = tests.into_iter().collect::<Vec<_>>().join("<br>");
                format!("| {case} | {what} | {tests} | {otherwise} |")
            }
            (_, Some(case)) => panic!("case {case} has not four columns; write `\\|` otherwise"),
            _ => line.to_owned(),
        };
        rewritten.push_str(&line);
        rewritten.push('\n');
    }

    assert!(held.is_empty(), "no such cases: {held:?}");
    assert!(bare.is_empty(), "no test and no reason for {bare:?}");
    if rewritten != page {
        fs_err::write(&path, rewritten).unwrap();
        panic!("`tests/HOSTILE.md` was out of date and is written anew; commit it");
    }
}

#[test]
fn a_comment_names_cases_after_the_word() {
    let cases = |comment| cases_in(comment).into_iter().collect::<Vec<_>>();

    assert_eq!(cases("Hostile 21, 22: names. R062. Takes 30 entries."), [21, 22]);
    assert_eq!(cases(" An archive (hostile 24) of 9 bytes"), Vec::<u16>::new());
    assert_eq!(cases("A hostile agent with 3 ports"), Vec::<u16>::new());
    assert_eq!(cases("see hostile 24; hostile 25."), [24, 25]);
}
