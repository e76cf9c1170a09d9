//! A zone file as statements: records and directives, with comments and parentheses out of the way.

use crate::import::Failure;
use crate::import::files::{At, Files};

/// A record or a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The first octet of its line.
    pub(super) start: usize,
    /// After its last token or parenthesis.
    pub(super) end: usize,
    /// Its line begins with white space: the owner is the one before.
    pub(super) blank: bool,
    pub(super) tokens: Vec<Token>,
}

/// A word, with its quotes and escapes as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) at: At,
}

/// All statements of a file.
///
/// # Errors
/// Quotes or parentheses without their other half.
pub(super) fn statements(file: u16, files: &Files) -> Result<Vec<Statement>, Failure> {
    let text = files.text(file);
    let octets = text.as_bytes();
    let wrong =
        |at: usize, message: &str| Err(files.problem(At::new(file, at, at + 1), message, None));
    let mut statements = Vec::new();
    let mut current: Option<Statement> = None;
    let mut open: Option<usize> = None;
    let mut line = 0;
    let mut at = 0;
    while at < octets.len() {
        let start = at;
        match octets[at] {
            b'\n' => {
                at += 1;
                if open.is_none() {
                    statements.extend(current.take());
                    line = at;
                }
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            b';' => {
                at += octets[at..].iter().position(|o| *o == b'\n').unwrap_or(octets.len() - at);
                continue;
            }
            b'(' if open.is_some() => return wrong(at, "a parenthesis within parentheses"),
            b'(' => {
                open = Some(at);
                at += 1;
            }
            b')' if open.take().is_none() => return wrong(at, "nothing opened this parenthesis"),
            b')' => at += 1,
            _ => {
                let Some(end) = token(octets, at) else {
                    return wrong(at, "the quotes that open here never close");
                };
                at = end;
            }
        }
        let statement = current.get_or_insert_with(|| Statement {
            start: line,
            end: at,
            blank: start > line,
            tokens: Vec::new(),
        });
        statement.end = at;
        if !b"()".contains(&octets[start]) {
            statement.tokens.push(Token {
                text: text.get(start..at).unwrap_or_default().to_owned(),
                quoted: octets[start] == b'"',
                at: At::new(file, start, at),
            });
        }
    }
    if let Some(open) = open {
        return wrong(open, "this parenthesis is never closed");
    }
    statements.extend(current);
    Ok(statements)
}

/// Where the token that begins at `at` ends.
fn token(octets: &[u8], at: usize) -> Option<usize> {
    let quoted = octets[at] == b'"';
    let mut end = at + usize::from(quoted);
    while let Some(octet) = octets.get(end) {
        match octet {
            b'\\' => end += 2,
            b'"' if quoted => return Some(end + 1),
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' if !quoted => break,
            b'"' => break,
            _ => end += 1,
        }
    }
    (!quoted).then_some(end.min(octets.len()))
}

/// A token without quotes and escapes; octets that are no UTF-8 are replaced, and name nothing.
pub(super) fn unescaped(token: &Token) -> String {
    let raw = token.text.as_bytes();
    let raw = if token.quoted { &raw[1..raw.len().max(2) - 1] } else { raw };
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).filter(|three| three.iter().all(u8::is_ascii_digit));
        let number = digits.map(|three| three.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')));
        let number = number.and_then(|number| u8::try_from(number).ok());
        let octet;
        (octet, rest) = match (first, number, after) {
            (b'\\', Some(octet), _) => (octet, &after[3..]),
            (b'\\', None, [next, after @ ..]) => (*next, after),
            _ => (*first, after),
        };
        octets.push(octet);
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// A text of a token in pieces of at most 255 octets, each quoted: gdnsd splits long ones itself.
pub(super) fn pieces(token: &Token) -> Vec<String> {
    const MOST: usize = 255;
    let raw = token.text.trim_start_matches('"');
    let raw = if token.quoted { raw.strip_suffix('"').unwrap_or(raw) } else { raw };
    let mut pieces = vec![String::new()];
    let mut length = 0;
    let mut rest = raw;
    while let Some(first) = rest.chars().next() {
        let take = match first {
            '\\' if rest.get(1..4).is_some_and(|d| d.bytes().all(|o| o.is_ascii_digit())) => 4,
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            c => c.len_utf8(),
        };
        let (unit, after) = rest.split_at(take);
        let octets =
            if first == '\\' && take == 4 { 1 } else { unit.trim_start_matches('\\').len().max(1) };
        if length + octets > MOST {
            pieces.push(String::new());
            length = 0;
        }
        length += octets;
        if let Some(last) = pieces.last_mut() {
            last.push_str(unit);
        }
        rest = after;
    }
    pieces.into_iter().map(|piece| format!("\"{piece}\"")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Statement>, String> {
        let files = Files::of_text("zone", text);
        statements(0, &files).map_err(|failure| failure.to_string())
    }

    fn words(statement: &Statement) -> String {
        statement.tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn lines_parentheses_quotes_and_comments() {
        let text =
            "; c\n@ SOA ns (\n 1 ; serial\n 2 )\n\n  NS ns\nt TXT \"a;b\n(c\" d\\;e ; c\n$TTL 5";
        let read = read(text).unwrap();
        let all: Vec<String> = read.iter().map(words).collect();
        assert_eq!(all, ["@|SOA|ns|1|2", "NS|ns", "t|TXT|\"a;b\n(c\"|d\\;e", "$TTL|5"]);
        assert_eq!(read.iter().map(|s| s.blank).collect::<Vec<_>>(), [false, true, false, false]);
        assert!(text[read[0].start..read[0].end].ends_with("2 )"));
    }

    #[test]
    fn mistakes_have_places() {
        for (text, place) in [("a (\n", "1:3"), ("a )", "1:3"), ("a \"b", "1:3"), ("((", "1:2")] {
            let told = read(text).unwrap_err();
            assert!(told.contains(&format!("zone:{place}")), "{text:?}: {told}");
        }
    }

    #[test]
    fn long_texts_are_split_at_whole_characters() {
        let token = |text: &str| Token {
            text: text.to_owned(),
            quoted: text.starts_with('"'),
            at: At::new(0, 0, 0),
        };
        assert_eq!(unescaped(&token("a!b\\ \\099\\")), "a!b c\\");
        assert_eq!(unescaped(&token("\"a\\\"b\"")), "a\"b");
        assert_eq!(pieces(&token("\"a\\\"b\"")), ["\"a\\\"b\""]);
        let long = format!("\"{}\\033\\;\"", "x".repeat(254));
        let expected = [format!("\"{}\\033\"", "x".repeat(254)), "\"\\;\"".to_owned()];
        assert_eq!(pieces(&token(&long)), expected);
        assert_eq!(pieces(&token(&"y".repeat(600))).len(), 3);
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_panic(text in "([a-z@$;()\"\\\\ \t\n\r0-9]|\\PC){0,120}") {
            if let Ok(read) = read(&text) {
                for statement in &read {
                    prop_assert!(text.get(statement.start..statement.end).is_some(), "{:?}", statement);
                    for token in &statement.tokens {
                        prop_assert!(unescaped(token).chars().count() <= token.text.chars().count());
                        prop_assert!(!pieces(token).is_empty());
                    }
                }
            }
        }
    }
}
