//! `$GENERATE` (BIND's; NSD, Knot and PowerDNS read it too).
//!
//! ```text
//!  $GENERATE 1-3/2 host-${0,3} A 192.0.2.$   ─▶   host-001 A 192.0.2.1
//!                                                 host-003 A 192.0.2.3
//! ```
//!
//! `$` is the number; `${offset,width,base}` shifts, pads with zeros and prints it in base d, o,
//! x, X, or as nibbles n, N for `ip6.arpa`; `\$` and `$$` are a dollar sign. Data of several words
//! may be quoted as a whole, unless its type takes a string.

use super::MAX_GENERATE;
use super::lexer::Lexer;
use super::token::{Fault, Token};

/// Widest padded number: a name's longest label.
const MAX_WIDTH: usize = 63;

/// The numbers of one directive.
pub(super) struct Generate {
    next: Option<u32>,
    stop: u32,
    step: u32,
}

impl Generate {
    /// Reads `START-STOP` or `START-STOP/STEP`.
    pub(super) fn range(token: &Token<'_>) -> Result<Self, Fault> {
        let wrong = |message: &str| {
            let help = "a range is START-STOP or START-STOP/STEP, as 1-254/2";
            Fault::new(token, message, help)
        };
        let text = str::from_utf8(token.text).map_err(|_| wrong("malformed range"))?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong("malformed range"));
        let (ends, step) = text.split_once('/').unwrap_or((text, "1"));
        let (start, stop) = ends.split_once('-').ok_or_else(|| wrong("malformed range"))?;
        let (start, stop, step) = (number(start)?, number(stop)?, number(step)?);
        if step == 0 || start > stop {
            return Err(wrong("empty range"));
        }
        if (stop - start) / step >= MAX_GENERATE {
            return Err(wrong(&format!("range of more than {MAX_GENERATE} steps")));
        }
        Ok(Generate { next: Some(start), stop, step })
    }
}

impl Iterator for Generate {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let value = self.next.filter(|&value| value <= self.stop)?;
        self.next = value.checked_add(self.step);
        Some(value)
    }
}

/// Puts `value` into a template.
pub(super) fn fill(token: &Token<'_>, value: u32) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(token.text.len() + 8);
    let mut rest = token.text;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        match (octet, rest) {
            (b'\\', [b'$', tail @ ..]) | (b'$', [b'$', tail @ ..]) => {
                out.push(b'$');
                rest = tail;
            }
            (b'\\', [escaped, tail @ ..]) => {
                out.extend_from_slice(&[b'\\', *escaped]);
                rest = tail;
            }
            (b'$', [b'{', tail @ ..]) => {
                let modifier = tail.iter().position(|&octet| octet == b'}');
                let (modifier, tail) = modifier
                    .map(|end| (&tail[..end], &tail[end + 1..]))
                    .ok_or_else(|| malformed(token))?;
                let text = str::from_utf8(modifier).ok().and_then(|text| print(text, value));
                out.extend_from_slice(text.ok_or_else(|| malformed(token))?.as_bytes());
                rest = tail;
            }
            (b'$', _) => out.extend_from_slice(value.to_string().as_bytes()),
            _ => out.push(octet),
        }
    }
    Ok(out)
}

fn malformed(token: &Token<'_>) -> Fault {
    let help = "a modifier is ${OFFSET,WIDTH,BASE} with base d, o, x, X, n or N, as ${-1,3,d}";
    Fault::new(token, "malformed modifier, or a number out of its range", help)
}

/// `value` as the modifier has it; `None` if the modifier is malformed or the sum negative.
fn print(modifier: &str, value: u32) -> Option<String> {
    let mut parts = modifier.split(',');
    let offset: i64 = parts.next()?.parse().ok()?;
    let width: usize = parts.next().map_or(Some(0), |width| width.parse().ok())?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() || width > MAX_WIDTH {
        return None;
    }
    let number = u32::try_from(i64::from(value).checked_add(offset)?).ok()?;
    Some(match base {
        "d" => format!("{number:0width$}"),
        "o" => format!("{number:0width$o}"),
        "x" => format!("{number:0width$x}"),
        "X" => format!("{number:0width$X}"),
        "n" => nibbles(&format!("{number:0digits$x}", digits = width.div_ceil(2)), width),
        "N" => nibbles(&format!("{number:0digits$X}", digits = width.div_ceil(2)), width),
        _ => return None,
    })
}

/// Hexadecimal digits from the last to the first, with dots between. The width counts dots too, so
/// that an even one ends with a dot: other labels may follow.
fn nibbles(digits: &str, width: usize) -> String {
    let mut text = String::with_capacity(2 * digits.len());
    for digit in digits.chars().rev() {
        text.extend([digit, '.']);
    }
    if text.len() > width {
        text.pop();
    }
    text
}

/// The words inside of the only token, if that is quoted; they stand where the token does.
pub(super) fn unquoted<'a>(tokens: &[Token<'a>]) -> Option<Vec<Token<'a>>> {
    let [Token { text: [b'"', inner @ .., b'"'], place, .. }] = *tokens else { return None };
    let entry = Lexer::new(inner).next_entry()?.ok()?;
    Some(entry.tokens.into_iter().map(|token| Token { place, ..token }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::token::Place;
    use super::*;

    fn token(text: &str) -> Token<'_> {
        let place = Place { line: 1, column: 1, length: 1 };
        Token { text: text.as_bytes(), place, glued: false }
    }

    fn filled(text: &str, value: u32) -> Option<String> {
        fill(&token(text), value).ok().map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn templates() {
        assert_eq!(filled("host-$", 7).unwrap(), "host-7");
        assert_eq!(filled("a${0,3}b$", 7).unwrap(), "a007b7");
        assert_eq!(filled("${-1}.${10,4,x}", 7).unwrap(), "6.0011");
        assert_eq!(filled("${0,0,o}${0,0,X}", 10).unwrap(), "12A");
        for (template, text) in [
            ("${0,0,n}", "b.2.a.1"),
            ("${0,7,n}", "b.2.a.1"),
            ("${0,8,N}", "B.2.A.1."),
            ("${0,9,n}", "b.2.a.1.0"),
        ] {
            assert_eq!(filled(template, 0x1a2b).unwrap(), text);
        }
        assert_eq!(filled("\\$-$$-\\.", 7).unwrap(), "$-$-\\.");
        for bad in ["${", "${x}", "${-8}", "${0,64}", "${0,1,z}", "${0,1,d,1}"] {
            assert_eq!(filled(bad, 7), None, "{bad}");
        }
    }

    #[test]
    fn ranges() {
        let steps = |text| Generate::range(&token(text)).ok().map(Iterator::collect::<Vec<_>>);
        assert_eq!(steps("1-3"), Some(vec![1, 2, 3]));
        assert_eq!(steps("0-5/2"), Some(vec![0, 2, 4]));
        assert_eq!(steps("4294967295-4294967295"), Some(vec![u32::MAX]));
        assert_eq!(steps("0-65535").map(|steps| steps.len()), Some(65_536));
        for bad in ["0-65536", "3-1", "1", "1-", "1-2/0", "-1-2", "a-b"] {
            assert!(steps(bad).is_none(), "{bad}");
        }
    }
}
