//! Names and record data as Route 53 writes them: escapes are octal ("DNS domain name format",
//! "TXT record type"), and names are absolute with or without a final dot.

use dns::name::Name;

/// A name; the error is in words.
pub(super) fn name(text: &str) -> Result<Name, String> {
    let text = escapes(text);
    text.parse::<Name>().map_err(|error| format!("{text:?} is no domain name: {error}"))
}

/// Octal escapes as the decimal ones of master files (RFC 1035 §5.1).
pub(super) fn escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let octal = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal.filter(|_| after.starts_with(|c: char| c.is_ascii_digit())) {
            Some(octet) => {
                out.push_str(&format!("\\{octet:03}"));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                let next = after.chars().next();
                out.extend(next);
                rest = &after[next.map_or(0, char::len_utf8)..];
            }
        }
    }
    // Line ends would end the record.
    (out + rest).replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn octal_becomes_decimal() {
        assert_eq!(name("\\052.example.com.").unwrap(), "*.example.com.".parse().unwrap());
        assert!(name("\\052.example.com").unwrap().is_wildcard());
        assert_eq!(escapes("\"caf\\303\\251 \\\"x\\\" \\\\\""), "\"caf\\195\\169 \\\"x\\\" \\\\\"");
        assert_eq!(escapes("\\9 \\+12 \\"), "\\9 \\+12 \\");
        assert!(name("a..b").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_panic(text in "(\\\\[0-9]{0,3}|\\PC|[\n\r.]){0,40}") {
            let escaped = escapes(&text);
            prop_assert!(!escaped.contains('\n'));
            let _ = name(&text);
        }
    }
}
