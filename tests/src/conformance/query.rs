//! What a case sends, in octets.

use std::net::{IpAddr, Ipv4Addr};

use super::message::FLAGS;
use super::record;

/// The payload size that `+edns` announces, the one everybody has settled on (RFC 9715).
const SIZE: u16 = 1232;

/// A message to send. Its id is 0: who sends it puts another in.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The message.
    pub bytes: Vec<u8>,
    /// From which address, if that matters.
    pub from: Option<Ipv4Addr>,
    /// The question's octets; none in messages that are given as octets.
    pub question: Option<Vec<u8>>,
    /// The DO bit, if there is an OPT record.
    pub do_bit: Option<bool>,
}

/// What EDNS is asked with.
#[derive(Default)]
struct Edns {
    size: Option<u16>,
    version: u8,
    flags: u16,
    options: Vec<u8>,
}

impl Query {
    /// Reads the rest of an `ask` line: `NAME TYPE [CLASS] [+option …]`.
    pub fn ask(text: &str, origin: &[u8]) -> Result<Query, String> {
        let mut words = text.split_whitespace().peekable();
        let name = record::name(words.next().ok_or("ask whom?")?, origin)?;
        let rtype = record::rtype(words.next().ok_or("ask for which type?")?)?;
        let class = words.peek().and_then(|word| record::class(word));
        if class.is_some() {
            words.next();
        }
        let mut question = name;
        question.extend_from_slice(&rtype.to_be_bytes());
        question.extend_from_slice(&class.unwrap_or(1).to_be_bytes());

        let mut query = Query::default();
        let mut flags = 0;
        let mut edns: Option<Edns> = None;
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let option = |code: u16, data: &[u8], edns: &mut Option<Edns>| {
                put_option(&mut edns.get_or_insert_default().options, code, data);
            };
            match key {
                "from" => query.from = Some(value.parse().map_err(|_| bad(word))?),
                "+opcode" => flags |= number::<u16>(word, value)? << 11,
                "+edns" => {
                    let edns = edns.get_or_insert_default();
                    edns.version = if value.is_empty() { 0 } else { number(word, value)? };
                }
                "+size" => edns.get_or_insert_default().size = Some(number(word, value)?),
                "+do" => edns.get_or_insert_default().flags |= 0x8000,
                "+ednsflags" => edns.get_or_insert_default().flags = word16(&hex(value)?)?,
                "+nsid" => option(3, &[], &mut edns),
                "+ecs" => option(8, &subnet(value)?, &mut edns),
                "+cookie" => option(10, &hex(value)?, &mut edns),
                "+keepalive" => option(11, &hex(value)?, &mut edns),
                "+padding" => option(12, &vec![0; number::<usize>(word, value)?], &mut edns),
                "+opt" => {
                    let (code, data) = value.split_once(':').unwrap_or((value, ""));
                    option(number(word, code)?, &hex(data)?, &mut edns);
                }
                _ => match FLAGS.iter().find(|(flag, _)| key.strip_prefix('+') == Some(flag)) {
                    Some((_, mask)) => flags |= mask,
                    None => return Err(format!("unknown option {word}")),
                },
            }
        }
        query.bytes = [&[0; 12], &question[..]].concat();
        query.bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        query.bytes[5] = 1;
        query.question = Some(question);
        if let Some(edns) = edns {
            query.bytes[11] = 1;
            query.do_bit = Some(edns.flags & 0x8000 != 0);
            edns.put(&mut query.bytes)?;
        }
        Ok(query)
    }

    /// Reads the rest of a `raw` line; see [`octets`].
    pub fn raw(text: &str) -> Result<Query, String> {
        Ok(Query { bytes: octets(text)?, ..Query::default() })
    }

    /// Changes the four counts of the header: `1 0 0 2`.
    pub fn counts(&mut self, text: &str) -> Result<(), String> {
        let counts: Vec<u16> =
            text.split_whitespace().map(|word| number(text, word)).collect::<Result<_, _>>()?;
        if counts.len() != 4 || self.bytes.len() < 12 {
            return Err(format!("{text:?} are not the four counts of a header"));
        }
        for (place, count) in self.bytes[4..12].chunks_exact_mut(2).zip(counts) {
            place.copy_from_slice(&count.to_be_bytes());
        }
        Ok(())
    }
}

impl Edns {
    fn put(&self, message: &mut Vec<u8>) -> Result<(), String> {
        let length =
            u16::try_from(self.options.len()).map_err(|_| "options are too long".to_owned())?;
        message.extend_from_slice(&[0, 0, 41]);
        message.extend_from_slice(&self.size.unwrap_or(SIZE).to_be_bytes());
        message.extend_from_slice(&[0, self.version]);
        message.extend_from_slice(&self.flags.to_be_bytes());
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&self.options);
        Ok(())
    }
}

fn put_option(options: &mut Vec<u8>, code: u16, data: &[u8]) {
    options.extend_from_slice(&code.to_be_bytes());
    // An option longer than that would not fit the message either, which is told there.
    options.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    options.extend_from_slice(data);
}

/// Octets of a message: digits in hexadecimal, with spaces anywhere between octets;
/// `"text"` for its ASCII; a word that ends with a dot for that name, uncompressed.
pub fn octets(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    for word in text.split_whitespace() {
        if let Some(text) = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
            octets.extend_from_slice(text.as_bytes());
        } else if word.ends_with('.') {
            octets.extend_from_slice(&record::name(word, &[0])?);
        } else {
            octets.extend_from_slice(&hex(word)?);
        }
    }
    Ok(octets)
}

/// Digits in hexadecimal, two for an octet.
pub fn hex(text: &str) -> Result<Vec<u8>, String> {
    let pair = |pair: &[u8]| -> Option<u8> {
        let [high, low] = pair else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
    };
    let octets: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    octets.ok_or_else(|| format!("{text:?} are no octets in hexadecimal"))
}

/// A client subnet (RFC 7871 §6): `192.0.2.0/24`, or with a scope `192.0.2.0/24/16`. The address
/// is cut to the octets that the prefix needs; bits past it inside the last octet stay, so that a
/// malformed one can be written.
pub fn subnet(text: &str) -> Result<Vec<u8>, String> {
    let mut parts = text.split('/');
    let mut part = || parts.next().ok_or_else(|| bad(text));
    let address: IpAddr = part()?.parse().map_err(|_| bad(text))?;
    let source: u8 = number(text, part()?)?;
    let scope: u8 = part().ok().map_or(Ok(0), |scope| number(text, scope))?;
    let (family, octets) = match address {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let octets = octets.get(..usize::from(source).div_ceil(8)).ok_or_else(|| bad(text))?;
    Ok([&[0, family, source, scope], octets].concat())
}

fn word16(octets: &[u8]) -> Result<u16, String> {
    let octets: [u8; 2] = octets.try_into().map_err(|_| "two octets are needed".to_owned())?;
    Ok(u16::from_be_bytes(octets))
}

fn number<T: std::str::FromStr>(word: &str, digits: &str) -> Result<T, String> {
    digits.parse().map_err(|_| bad(word))
}

fn bad(word: &str) -> String {
    format!("cannot read {word:?}")
}
