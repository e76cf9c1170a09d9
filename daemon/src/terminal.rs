//! Text of unknown origin, shown to people.
//!
//! What stands in a zone file, or in the name of a file, may have been written by somebody else
//! than the one who reads the report: it must not colour, move or rename anything in a terminal.

use std::borrow::Cow;

/// What stands for a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// Whether a terminal does something at `c` instead of showing it: control characters, which begin
/// escape sequences; separators of lines; and those that change the direction of what stands
/// beside them, so that another text is read than is there (Unicode's Bidi_Control).
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// Each such character, ends of lines too, as one that is seen: for names and single lines.
pub fn visible(text: &str) -> Cow<'_, str> {
    match text.contains(acts) {
        true => Cow::Owned(text.replace(acts, REPLACEMENT.encode_utf8(&mut [0; 4]))),
        false => Cow::Borrowed(text),
    }
}

/// As [`visible`], for one character of a text whose lines and tabs stay.
pub(crate) fn visible_in_text(c: char, next: Option<char>) -> char {
    match (c, next) {
        ('\n' | '\t', _) | ('\r', Some('\n')) => c,
        _ if acts(c) => REPLACEMENT,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_seen_and_counts_as_one_character() {
        assert_eq!(
            visible("a\x1b]0;x\x07\u{202e}b\u{9b}"),
            "a\u{fffd}]0;x\u{fffd}\u{fffd}b\u{fffd}"
        );
        assert_eq!(visible("one\r\ntwo\t"), "one\u{fffd}\u{fffd}two\u{fffd}");
        assert_eq!(visible("Z\u{fc}rich \u{5d0}"), "Z\u{fc}rich \u{5d0}");
    }

    #[test]
    fn lines_of_a_text_stay() {
        let shown = |c, next| visible_in_text(c, next);
        assert_eq!(
            [shown('\n', None), shown('\t', None), shown('\r', Some('\n'))],
            ['\n', '\t', '\r']
        );
        assert_eq!([shown('\r', Some('x')), shown('\x1b', None)], [REPLACEMENT; 2]);
    }
}
