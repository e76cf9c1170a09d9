//! Which zone a master file is, when nobody says: the owner of its SOA.

use super::lexer::{Entry, Lexer};
use super::token::Token;
use crate::name::Name;

/// The zone that `text` itself says it is: the owner of its first SOA record, if `$ORIGIN` and
/// owners before it say so in full; without a SOA (it may be in an included file) the first
/// `$ORIGIN`. None when the text leaves it to whoever loads it, as `@` without `$ORIGIN` does.
pub fn apex(text: &[u8]) -> Option<Name> {
    let mut lexer = Lexer::new(text);
    let (mut first, mut origin, mut owner) = (None, None, None);
    while let Some(entry) = lexer.next_entry() {
        // What is wrong here will be told when the file is read for good.
        let Ok(entry) = entry else { continue };
        match directive(&entry) {
            Some(name) if name.eq_ignore_ascii_case(b"$ORIGIN") => {
                origin = entry.tokens.get(1).and_then(|token| in_full(token, origin.as_ref()));
                first = first.or_else(|| origin.clone());
            }
            Some(_) => {}
            None => {
                if !entry.indented {
                    owner = in_full(&entry.tokens[0], origin.as_ref());
                }
                if is_soa(&entry) {
                    return owner;
                }
            }
        }
    }
    first
}

fn directive<'a>(entry: &Entry<'a>) -> Option<&'a [u8]> {
    let word = entry.tokens[0].text;
    (!entry.indented && word[0] == b'$').then_some(word)
}

/// Whether the type, behind TTL and class in any order, is SOA.
fn is_soa(entry: &Entry<'_>) -> bool {
    let words = entry.tokens.iter().map(|token| token.text).skip(usize::from(!entry.indented));
    let mut words = words.skip_while(|word| word[0].is_ascii_digit() || is_class(word));
    words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"SOA"))
}

fn is_class(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"IN") || word.eq_ignore_ascii_case(b"CLASS1")
}

/// The name, if it does not depend on an origin that nobody gave.
fn in_full(token: &Token<'_>, origin: Option<&Name>) -> Option<Name> {
    match origin {
        Some(origin) => token.name(origin).ok(),
        None if is_absolute(token.text) => token.name(&Name::root()).ok(),
        None => None,
    }
}

/// Whether the last dot ends the name: `\.` is part of a label.
fn is_absolute(text: &[u8]) -> bool {
    let Some(before) = text.strip_suffix(b".") else { return false };
    let backslashes = before.iter().rev().take_while(|&&octet| octet == b'\\').count();
    backslashes % 2 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<String> {
        apex(text.as_bytes()).map(|name| name.to_string())
    }

    #[test]
    fn the_owner_of_the_soa_is_the_zone() {
        for text in [
            "$ORIGIN example.com.\n@ 3600 IN SOA a b 1 2 3 4 5\n",
            "$TTL 60\n$ORIGIN com.\nexample IN 1h soa a b (\n1 2 3 4 5 )\n$ORIGIN other.\n",
            "example.com. SOA a b 1 2 3 4 5\n",
            "example.com. 60 NS a.\n  SOA a b 1 2 3 4 5\n",
            "$ORIGIN com.\n$ORIGIN example\n@ SOA a b 1 2 3 4 5",
        ] {
            assert_eq!(said(text).as_deref(), Some("example.com."), "{text}");
        }
    }

    #[test]
    fn without_a_soa_the_first_origin_counts() {
        let text = "$ORIGIN example.com.\n$INCLUDE soa\n$ORIGIN sub\nwww A 192.0.2.1\n";
        assert_eq!(said(text).as_deref(), Some("example.com."));
    }

    #[test]
    fn what_depends_on_the_loader_is_not_guessed() {
        for text in ["@ SOA a b 1 2 3 4 5", "example SOA a b 1 2 3 4 5", "a\\. SOA a b 1 2 3 4 5"] {
            assert_eq!(said(text), None, "{text}");
        }
        assert_eq!(said("$ORIGIN example\n@ SOA a b 1 2 3 4 5"), None);
        assert_eq!(said("(((\n\"\n\\"), None);
        assert_eq!(said(""), None);
    }
}
