//! Puts text from a package into an error or a log line without letting it act there.

use std::fmt;

/// Longest piece of foreign text an error repeats. Unit: characters.
///
/// Long enough for every sane path or entry point, short enough that a hostile name of
/// 64 KiB does not become a log line of 64 KiB.
const SHOWN: usize = 160;

/// Displays foreign text with everything escaped that could move a terminal's cursor, end a
/// log line, or make the text read differently from what it is.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;

        let mut characters = self.0.chars();
        for character in characters.by_ref().take(SHOWN) {
            if is_deceptive(character) {
                write!(formatter, "{}", character.escape_unicode())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        if characters.next().is_some() {
            formatter.write_str("...")?;
        }
        Ok(())
    }
}

/// Foreign text as [`Quoted`] escapes it, and whole: for tables that must leave nothing out.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_deceptive(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a character controls a terminal or the direction of text, or shows as nothing.
#[must_use]
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// As [`is_deceptive`], but letting through what ordinary text needs: joiners, which many
/// scripts and emoji are written with, and soft hyphens.
pub(crate) fn is_hidden(character: char) -> bool {
    is_deceptive(character) && !matches!(character, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_and_direction_controls_are_escaped_and_letters_are_not() {
        assert_eq!(Quoted("a\u{1b}[31mb\n\u{202e}é").to_string(), "a\\u{1b}[31mb\\u{a}\\u{202e}é");
    }

    #[test]
    fn a_whole_text_is_escaped_to_its_end() {
        assert_eq!(escaped(&format!("{}\u{200b}ä", "x".repeat(500))), format!("{}\\u{{200b}}ä", "x".repeat(500)));
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Quoted(&"x".repeat(70_000)).to_string().len(), SHOWN + 3);
    }
}
