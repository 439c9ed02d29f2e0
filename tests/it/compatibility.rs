//! The short form of the compatibility matrix; `just compat` has the whole.

use std::collections::BTreeSet;

use par_tests::compat::{Verdict, candidates, known, try_out};

/// What works on the page still works.
#[tokio::test]
async fn what_the_page_says_works_still_works() {
    let known = known();
    let short = candidates().into_iter().filter(|candidate| {
        candidate.short && known.get(&candidate.name).is_some_and(|before| before.verdict == Verdict::Works)
    });

    for candidate in short {
        let outcome = try_out(candidate, None).await;
        assert_eq!(outcome.verdict, Verdict::Works, "{}", outcome.candidate.name);
    }
}

/// The page has a row for every package.
#[test]
fn the_page_has_every_package() {
    let known = known();
    let named: BTreeSet<&str> = known.keys().map(String::as_str).collect();
    let candidates = candidates();
    let missing: Vec<&str> =
        candidates.iter().map(|candidate| candidate.name.as_str()).filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "run: just compat {}", missing.join(" "));
    assert!(candidates.len() >= 150);
}
