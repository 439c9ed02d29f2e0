//! `just compat`: the compatibility matrix, and its page.
//!
//! Fails when a package that works, as the page has it, does not any more. With names as arguments
//! only these are tried, and the page keeps what it has of the others.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use futures::StreamExt as _;
use par_tests::compat::{Outcome, Verdict, candidates, known, page, try_out};
use par_tests::repository;

/// Packages that are tried at a time.
const AT_ONCE: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let cache = arguments.next().map(PathBuf::from);
    let only: Vec<String> = arguments.collect();
    let wanted: Vec<_> = candidates().into_iter().filter(|one| only.is_empty() || only.contains(&one.name)).collect();

    let tried = futures::stream::iter(wanted).map(|candidate| {
        let cache = cache.clone();
        async move {
            let outcome = try_out(candidate, cache.as_deref()).await;
            show(&outcome);
            outcome
        }
    });
    let outcomes: Vec<Outcome> = tried.buffer_unordered(AT_ONCE).collect().await;

    let mut page_has = known();
    let is_worse = |outcome: &&Outcome| {
        let before = page_has.get(&outcome.candidate.name);
        outcome.verdict != Verdict::Works && before.is_some_and(|before| before.verdict == Verdict::Works)
    };
    let worse: Vec<String> = outcomes.iter().filter(is_worse).map(|outcome| outcome.candidate.name.clone()).collect();
    let works = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Works).count();
    println!("{works} of {} work", outcomes.len());
    page_has.extend(outcomes.into_iter().map(|outcome| (outcome.candidate.name.clone(), outcome)));
    let mut all: Vec<Outcome> = page_has.into_values().collect();
    all.sort_by_key(|outcome| outcome.candidate.name.to_lowercase());
    if let Err(error) = fs_err::write(repository().join("docs/compatibility.md"), page(&all)) {
        println!("{error}");
        return ExitCode::FAILURE;
    }
    if !worse.is_empty() {
        println!("worked before: {}", worse.join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn show(outcome: &Outcome) {
    let name = &outcome.candidate.name;
    match &outcome.verdict {
        Verdict::Works => println!("works   {name} {}", outcome.version),
        Verdict::Native(cause) => println!("native  {name}: {cause}"),
        Verdict::Fails(cause) => println!("fails   {name} {}: {cause}", outcome.version),
    }
}
