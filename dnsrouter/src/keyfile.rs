//! Files that hold a key: as `tsig-keygen` writes them for BIND, or the base64 of the secret alone.
//!
//! ```text
//! key "acme-key" {
//!         algorithm hmac-sha256;
//!         secret "cY6D…=";
//! };
//! ```
//!
//! What is wrong is said with its line, and never with what stands there: these files are secret.

use dns::name::Name;

use crate::updates::{self, Algorithm};

/// What a file says.
#[derive(PartialEq, Eq)]
pub struct KeyFile {
    /// The key's name, if the file says one.
    pub name: Option<Name>,
    /// The algorithm, if the file says one.
    pub algorithm: Option<Algorithm>,
    /// The octets.
    pub secret: Box<[u8]>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct KeyFileError {
    line: usize,
    message: &'static str,
}

impl KeyFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// Anything but one key.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let words = words(text)?;
        match words.first() {
            Some(Word { text: "key", quoted: false, .. }) => clause(&words),
            _ => match updates::secret(text) {
                Ok(secret) => Ok(Self { name: None, algorithm: None, secret }),
                Err(_) => {
                    let message = "neither `key \"NAME\" { … };` nor the base64 of a secret";
                    Err(KeyFileError { line: 1, message })
                }
            },
        }
    }
}

struct Word<'a> {
    text: &'a str,
    quoted: bool,
    line: usize,
}

/// `key NAME { algorithm A; secret S; };`, the statements in either order.
fn clause(words: &[Word<'_>]) -> Result<KeyFile, KeyFileError> {
    let end = words.last().map_or(1, |word| word.line);
    let mut words = words.iter();
    let mut next = || words.next();
    let wrong = |word: Option<&Word<'_>>, message| KeyFileError {
        line: word.map_or(end, |word| word.line),
        message,
    };
    let expect = |word: Option<&Word<'_>>, text: &str, message| match word {
        Some(word) if word.text == text && !word.quoted => Ok(()),
        other => Err(wrong(other, message)),
    };
    next();
    let name = next();
    let Some(Ok(name)) = name.map(|word| word.text.parse::<Name>()) else {
        return Err(wrong(name, "the key's name is no domain name"));
    };
    expect(next(), "{", "expected {")?;
    let (mut algorithm, mut secret) = (None, None);
    loop {
        let statement = next();
        match statement.map(|word| word.text) {
            Some("algorithm") if algorithm.is_none() => {
                let value = next();
                let parsed = value.and_then(|word| word.text.parse::<Algorithm>().ok());
                algorithm =
                    Some(parsed.ok_or_else(|| wrong(value, "no algorithm that is known here"))?);
            }
            Some("secret") if secret.is_none() => {
                let value = next();
                let parsed = value.and_then(|word| updates::secret(word.text).ok());
                secret = Some(parsed.ok_or_else(|| wrong(value, "no base64 of a secret"))?);
            }
            Some("}") => break,
            _ => return Err(wrong(statement, "expected algorithm, secret or }, each once")),
        }
        expect(next(), ";", "expected ;")?;
    }
    expect(next(), ";", "expected ; after the key")?;
    if let Some(more) = next() {
        return Err(wrong(Some(more), "one key per file"));
    }
    let secret = secret.ok_or_else(|| wrong(None, "the key has no secret"))?;
    Ok(KeyFile { name: Some(name), algorithm, secret })
}

/// Words, quoted ones without their quotes, and the signs `{`, `}` and `;`; comments are left out.
fn words(text: &str) -> Result<Vec<Word<'_>>, KeyFileError> {
    let mut words = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\n' => {
                line += 1;
                1
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => {
                let message = "the comment does not end";
                let end = rest.find("*/").ok_or(KeyFileError { line, message })? + 2;
                line += rest[..end].matches('\n').count();
                end
            }
            '{' | '}' | ';' => {
                words.push(Word { text: &rest[..1], quoted: false, line });
                1
            }
            '"' => {
                let inside = &rest[1..];
                let end = inside.find(['"', '\n']).filter(|&end| inside[end..].starts_with('"'));
                let end = end.ok_or(KeyFileError { line, message: "the quote does not end" })?;
                words.push(Word { text: &inside[..end], quoted: true, line });
                end + 2
            }
            space if space.is_whitespace() => space.len_utf8(),
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"');
                let end = rest.find(ends).unwrap_or(rest.len());
                words.push(Word { text: &rest[..end], quoted: false, line });
                end
            }
        };
        rest = &rest[length..];
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        KeyFile::parse(text).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn as_tsig_keygen_writes_them() {
        let text = "// made today\nkey \"acme-key\" {\n\talgorithm hmac-sha512;\n\tsecret \"c2VjcmV0\";\n};\n";
        let key = KeyFile::parse(text).unwrap();
        assert_eq!(key.name, Some("acme-key.".parse().unwrap()));
        assert_eq!(key.algorithm, Some(Algorithm::HmacSha512));
        assert_eq!(*key.secret, *b"secret");
        let other = "/* one\nline */ key k. { secret c2VjcmV0; algorithm \"HMAC-SHA256\"; }; # end";
        assert!(
            KeyFile::parse(other).is_ok_and(|key| key.algorithm == Some(Algorithm::HmacSha256))
        );
    }

    #[test]
    fn the_secret_alone() {
        let key = KeyFile::parse("c2Vj\ncmV0\n").unwrap();
        assert!(key.name.is_none() && key.algorithm.is_none());
        assert_eq!(*key.secret, *b"secret");
    }

    #[test]
    fn mistakes_have_a_line_and_no_secret() {
        for (text, expected) in [
            ("", "line 1: neither `key \"NAME\" { … };` nor the base64 of a secret"),
            ("key", "line 1: the key's name is no domain name"),
            ("key \"a..b\" {", "line 1: the key's name is no domain name"),
            ("key a\n( x", "line 2: expected {"),
            ("key a {\nalgorithm md5;", "line 2: no algorithm that is known here"),
            ("key a {\nsecret \"c2V\";", "line 2: no base64 of a secret"),
            ("key a { secret \"c2VjcmV0\" };", "line 1: expected ;"),
            (
                "key a { secret \"c2VjcmV0\"; secret \"c2VjcmV0\"; };",
                "line 1: expected algorithm, secret or }, each once",
            ),
            ("key a {\n};", "line 2: the key has no secret"),
            ("key a { secret \"c2VjcmV0\"; }", "line 1: expected ; after the key"),
            ("key a { secret \"c2VjcmV0\"; };\nkey b", "line 2: one key per file"),
            ("key a {\nsecret \"c2Vj\ncmV0\"; };", "line 2: the quote does not end"),
            ("/* key", "line 1: the comment does not end"),
        ] {
            assert_eq!(error(text), expected, "{text:?}");
        }
    }
}
