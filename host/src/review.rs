//! What a security reviewer is shown: who gets what, why, and what would change it.
//!
//! [`Review`] is what there is to say about one package under one policy; `page.rs` writes it for a
//! terminal, for Markdown and for a browser. Everything a package says is escaped where it is written.

mod backend;
mod build;
pub mod difference;
mod html;
pub mod judge;
pub mod line;
mod markdown;
mod model;
pub mod native;
mod page;
pub mod sarif;
pub mod suggest;
#[cfg(test)]
mod tests;
mod text;

/// JSON with everything but ASCII escaped, which only ever stands in strings: nothing in it can steer a
/// terminal or read differently from what it is.
#[must_use]
pub fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~' | '\n') {
            text.push(character);
        } else {
            let mut units = [0; 2];
            text.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

pub use build::{Subject, review};
pub use html::html;
pub use markdown::markdown;
pub use model::{Review, Verdict};
pub use text::{Screen, text};
