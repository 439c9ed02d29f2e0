//! What the targets share: where they start, and what they ask of every error.
#![forbid(unsafe_code)]

#[path = "../../host/crates/apkg/src/archive/tests/forge.rs"]
pub mod forge;
pub mod seeds;

/// Asserts that the text of an error is one line that a terminal and a log can show, and none that repeats
/// what it is about at full length.
///
/// # Panics
/// When it is not.
pub fn assert_presentable(error: &impl std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.len() < 2000, "{text:?}");
}
