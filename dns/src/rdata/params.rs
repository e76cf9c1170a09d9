//! Parameters of service bindings, SVCB and HTTPS (RFC 9460 §2.1, §2.2, §7).
//!
//! ```text
//!  text: alpn="h2,h3" port=8443 ipv4hint=192.0.2.1          in any order
//!  wire: key (2), length (2), value; key …                  keys ascending, none twice
//! ```
//!
//! A value is unescaped twice where it is a list: as a character string, and then for commas inside
//! items (`\\,`). `keyNNNNN` takes the octets of the wire form as they are.

use super::cursor::Cursor;
use super::encode;
use super::number;
use super::strings;
use crate::zonefile::{Fault, Token};
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the value of a key looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Names of keys, as two octets each.
    Keys,
    /// Strings with commas between, each with its length before it.
    List,
    /// None.
    Nothing,
    Port,
    Ip4s,
    Ip6s,
    Base64,
    /// The octets of a string.
    Text,
    /// Numbers of two octets.
    Numbers,
    /// Unknown: octets, quoted.
    Opaque,
}

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const DOHPATH: u16 = 7;
const GROUPS: u16 = 9;
const DOCPATH: u16 = 10;
/// Reserved, so that it is never a key (RFC 9460 §14.3).
const INVALID: u16 = 65_535;

/// The registry, but for what is no more than a draft and has a form that could change.
const KEYS: [(&str, u16, Form); 12] = [
    ("mandatory", MANDATORY, Form::Keys),
    ("alpn", ALPN, Form::List),
    ("no-default-alpn", NO_DEFAULT_ALPN, Form::Nothing),
    ("port", 3, Form::Port),
    ("ipv4hint", 4, Form::Ip4s),
    ("ech", 5, Form::Base64),
    ("ipv6hint", 6, Form::Ip6s),
    ("dohpath", DOHPATH, Form::Text),
    ("ohttp", 8, Form::Nothing),
    ("tls-supported-groups", GROUPS, Form::Numbers),
    ("docpath", DOCPATH, Form::List),
    ("pvd", 11, Form::Nothing),
];

fn form(key: u16) -> Form {
    KEYS.iter().find(|known| known.1 == key).map_or(Form::Opaque, |known| known.2)
}

/// Reads parameters up to the end of the data.
pub(super) fn read(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut params = BTreeMap::new();
    while let Some(token) = cursor.any() {
        let (key, value) = param(token, cursor)?;
        if params.insert(key, value).is_some() {
            let message = format!("{} is given twice", Key(key));
            return Err(Fault::new(
                token,
                message,
                "keep one; a list has commas between its items",
            ));
        }
    }
    for (key, value) in params {
        out.extend_from_slice(&key.to_be_bytes());
        // The value was read from a token of the text, which may be longer than any record.
        out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

/// Reads one parameter whose first token was taken.
fn param(token: &Token<'_>, cursor: &mut Cursor<'_>) -> Result<(u16, Vec<u8>), Fault> {
    let equals = token.text.iter().position(|&octet| octet == b'=');
    let (name, value) = match equals {
        Some(at) => (&token.text[..at], Token { text: &token.text[at + 1..], ..*token }),
        None => (token.text, Token { text: b"", ..*token }),
    };
    let value = match cursor.glued() {
        None => value,
        Some(quoted) if equals.is_some() && value.text.is_empty() && quoted.is_quoted() => *quoted,
        Some(after) => {
            let help = "a quoted value begins right after the =";
            return Err(Fault::new(after, "a quote next to a word", help));
        }
    };
    let octets = value.octets()?;
    let wrong = |why: &str| {
        let message = format!("{}: {why}", token.show());
        Fault::new(token, message, "as in alpn=h2,h3 port=8443 ipv4hint=192.0.2.1 key65280=x")
    };
    let (key, value) = match lookup(name) {
        Some((key, form)) => (key, form.read(&octets).map_err(wrong)?),
        None => return Err(wrong("no such parameter")),
    };
    match fault(key, &value) {
        None if value.len() <= usize::from(u16::MAX) => Ok((key, value)),
        None => Err(wrong("the value is too long")),
        Some(why) => Err(wrong(why)),
    }
}

/// A key by its name, or as `keyNNNNN`, whose value is always opaque.
fn lookup(name: &[u8]) -> Option<(u16, Form)> {
    let name = str::from_utf8(name).ok()?;
    if let Some(&(_, key, form)) = KEYS.iter().find(|known| known.0.eq_ignore_ascii_case(name)) {
        return Some((key, form));
    }
    let (prefix, digits) = name.split_at_checked("key".len())?;
    let plain = prefix.eq_ignore_ascii_case("key") && (digits == "0" || !digits.starts_with('0'));
    let number = number::decimal(digits).filter(|_| plain)?;
    Some((u16::try_from(number).ok()?, Form::Opaque))
}

impl Form {
    /// The wire form of a value whose escapes are resolved.
    fn read(self, value: &[u8]) -> Result<Vec<u8>, &'static str> {
        let text = || str::from_utf8(value).unwrap_or("\u{fffd}");
        let number = |text: &str| number::decimal(text).and_then(|n| u16::try_from(n).ok());
        Ok(match self {
            Form::Nothing if !value.is_empty() => return Err("it takes no value"),
            Form::Nothing | Form::Opaque | Form::Text => value.to_vec(),
            Form::Port => {
                number(text()).ok_or("not a port from 0 to 65535")?.to_be_bytes().to_vec()
            }
            Form::Ip4s => {
                let each =
                    text().split(',').map(|part| part.parse().map(|ip: Ipv4Addr| ip.octets()));
                each.collect::<Result<Vec<_>, _>>().map_err(|_| "not IPv4 addresses")?.concat()
            }
            Form::Ip6s => {
                let each =
                    text().split(',').map(|part| part.parse().map(|ip: Ipv6Addr| ip.octets()));
                each.collect::<Result<Vec<_>, _>>().map_err(|_| "not IPv6 addresses")?.concat()
            }
            Form::Base64 => {
                let mut octets = Vec::new();
                encode::unbase64(value, &mut octets).ok_or("not base64")?;
                octets
            }
            Form::Numbers => {
                let each = text().split(',').map(|part| number(part).map(u16::to_be_bytes));
                each.collect::<Option<Vec<_>>>().ok_or("not numbers from 0 to 65535")?.concat()
            }
            Form::Keys => {
                let keys = text().split(',').map(|part| Some(lookup(part.as_bytes())?.0));
                let mut keys =
                    keys.collect::<Option<Vec<u16>>>().ok_or("not names of parameters")?;
                keys.sort_unstable();
                keys.into_iter().flat_map(u16::to_be_bytes).collect()
            }
            Form::List => list(value)?,
        })
    }

    fn show(self, value: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = value.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word));
        match self {
            _ if value.is_empty() => Ok(()),
            Form::Opaque | Form::Text => strings::show_quoted(value, f),
            Form::Port | Form::Numbers => commas(words, f),
            Form::Keys => commas(words.map(Key), f),
            Form::Ip4s => {
                commas(value.as_chunks().0.iter().map(|&ip: &[u8; 4]| Ipv4Addr::from(ip)), f)
            }
            Form::Ip6s => {
                commas(value.as_chunks().0.iter().map(|&ip: &[u8; 16]| Ipv6Addr::from(ip)), f)
            }
            Form::Base64 => encode::show_base64(value, f),
            Form::List => show_list(value, f),
            Form::Nothing => Ok(()),
        }
    }
}

/// Splits at commas; `\,` is a comma inside an item and `\\` a backslash (RFC 9460 appendix A.1).
fn list(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    if value.is_empty() {
        return Ok(out);
    }
    let (mut item, mut rest) = (Vec::new(), value);
    loop {
        match rest {
            [b'\\', octet @ (b',' | b'\\'), tail @ ..] => {
                item.push(*octet);
                rest = tail;
            }
            [b'\\', ..] => return Err("inside a list \\\\ comes before a comma or a backslash"),
            [] | [b',', ..] => {
                let length = u8::try_from(item.len()).map_err(|_| "an item over 255 octets")?;
                out.push(length);
                out.append(&mut item);
                match rest.split_first() {
                    Some((_, tail)) => rest = tail,
                    None => return Ok(out),
                }
            }
            [octet, tail @ ..] => {
                item.push(*octet);
                rest = tail;
            }
        }
    }
}

/// Shows a list in quotes, escaped for both readings.
fn show_list(value: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for (i, item) in strings::each(value).enumerate() {
        f.write_str(if i > 0 { "," } else { "" })?;
        for &octet in item {
            match octet {
                b',' => f.write_str("\\\\,")?,
                b'\\' => f.write_str("\\\\\\\\")?,
                b'"' => f.write_str("\\\"")?,
                b' '..=b'~' => f.write_char(char::from(octet))?,
                _ => write!(f, "\\{octet:03}")?,
            }
        }
    }
    f.write_str("\"")
}

fn commas(
    items: impl Iterator<Item = impl fmt::Display>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (i, item) in items.enumerate() {
        write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
    }
    Ok(())
}

/// A key by its name.
struct Key(u16);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KEYS.iter().find(|known| known.1 == self.0) {
            Some((name, ..)) => f.write_str(name),
            None => write!(f, "key{}", self.0),
        }
    }
}

/// Keys and values of octets in wire form, as far as they are whole.
fn each(octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> + Clone {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (&[k0, k1, l0, l1], after) = rest.split_first_chunk::<4>()?;
        let (value, after) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = after;
        Some((u16::from_be_bytes([k0, k1]), value))
    })
}

/// All octets are parameters, keys ascending and none twice.
pub(super) fn len(octets: &[u8]) -> Option<usize> {
    let whole: usize = each(octets).map(|(_, value)| 4 + value.len()).sum();
    let ascending = each(octets).is_sorted_by(|a, b| a.0 < b.0);
    (ascending && whole == octets.len()).then_some(whole)
}

pub(super) fn show(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, (key, value)) in each(octets).enumerate() {
        let equals = if value.is_empty() { "" } else { "=" };
        write!(f, "{}{}{equals}", if i > 0 { " " } else { "" }, Key(key))?;
        form(key).show(value, f)?;
    }
    Ok(())
}

/// What is wrong with the parameters of a record. Those of an alias, which should have none, are
/// looked at all the same: clients read them before they ignore them (RFC 9460 §2.4.2).
pub(super) fn broken(octets: &[u8]) -> Option<&'static str> {
    if let Some(why) = each(octets).find_map(|(key, value)| fault(key, value)) {
        return Some(why);
    }
    let has = |wanted: u16| each(octets).any(|(key, _)| key == wanted);
    if has(NO_DEFAULT_ALPN) && !has(ALPN) {
        return Some("no-default-alpn without alpn");
    }
    let mut mandatory = each(octets).filter(|&(key, _)| key == MANDATORY);
    let listed = mandatory.next().map_or(&[][..], |(_, value)| value.as_chunks::<2>().0);
    let absent = listed.iter().any(|&key| !has(u16::from_be_bytes(key)));
    absent.then_some("mandatory names a parameter that is not there")
}

/// What is wrong with a value in wire form.
fn fault(key: u16, value: &[u8]) -> Option<&'static str> {
    let words = || value.as_chunks::<2>().0.iter().map(|&word| u16::from_be_bytes(word));
    let multiple = |of: usize| !value.is_empty() && value.len().is_multiple_of(of);
    let (good, why) = match form(key) {
        Form::Keys => (
            multiple(2)
                && words().is_sorted_by(|a, b| a < b)
                && words().all(|key| key != MANDATORY),
            "mandatory names other parameters, none twice",
        ),
        // A DOCPATH of no segments is the root.
        Form::List if value.is_empty() && key == DOCPATH => (true, ""),
        Form::List => (
            strings::len_all(value).is_some() && strings::each(value).all(|item| !item.is_empty()),
            "the list has no item, or an empty one",
        ),
        Form::Nothing => (value.is_empty(), "it takes no value"),
        Form::Port => (value.len() == 2, "a port has two octets"),
        Form::Ip4s => (multiple(4), "not IPv4 addresses"),
        Form::Ip6s => (multiple(16), "not IPv6 addresses"),
        Form::Base64 => (!value.is_empty(), "the value is missing"),
        Form::Numbers => (
            multiple(2) && words().enumerate().all(|(i, word)| words().take(i).all(|w| w != word)),
            "no number, or one twice",
        ),
        Form::Text => (is_dohpath(value), "not a path with the variable dns, as /dns-query{?dns}"),
        Form::Opaque => (key != INVALID, "key65535 is reserved"),
    };
    (!good).then_some(why)
}

/// A URI template, relative and in UTF-8, with the variable `dns` (RFC 9461 §5).
fn is_dohpath(value: &[u8]) -> bool {
    let Ok(template) = str::from_utf8(value) else { return false };
    let expressions = template.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0));
    let mut variables = expressions.flat_map(|expression| {
        expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']).split(',')
    });
    template.starts_with('/') && variables.any(|variable| variable.trim_end_matches('*') == "dns")
}
