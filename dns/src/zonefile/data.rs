//! Record data by way of the crate `domain`.
//!
//! Its scanner reads whole files. It gets one line per record that holds nothing but the data,
//! `. 0 IN TYPE …`, with each token's place noted, so that its column leads back to the token.

use super::lexer::{Place, Token};
use super::reader;
use crate::name::Name;
use crate::rr::Rtype;
use domain::base::rdata::ComposeRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};

/// What is wrong with record data.
pub(super) struct DataError {
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
    /// The token to blame, or the end of the last one; none if there is no data at all.
    pub(super) place: Option<Place>,
}

/// Reads the data of one record into wire form, names uncompressed.
pub(super) fn parse(
    rtype: Rtype,
    tokens: &[Token<'_>],
    origin: &Name,
) -> Result<Box<[u8]>, DataError> {
    let generic = tokens.first().is_some_and(|token| token.text == b"\\#");
    let mut line = format!(". 0 IN TYPE{}", rtype.0).into_bytes();
    // Where each token starts in the line, from 0.
    let mut starts = Vec::with_capacity(tokens.len());
    for (i, token) in tokens.iter().enumerate() {
        if !token.glued {
            line.push(b' ');
        }
        starts.push(line.len());
        match () {
            () if generic => line.extend_from_slice(token.text),
            () if name_places(rtype).contains(&i) => put_name(rtype, token, origin, &mut line)?,
            () if rtype == Rtype::SOA && i >= 3 => put_seconds(token, &mut line)?,
            () => put(token, &mut line),
        }
    }
    line.push(b'\n');
    let blame = |message: &str, column: usize| blame(rtype, tokens, &starts, message, column);

    let mut file = Zonefile::from(&line[..]);
    // Our names' text form reads back to the same octets there as here.
    if let Ok(origin) = origin.to_string().parse() {
        file.set_origin(origin);
    }
    match file.next_entry() {
        Ok(Some(Entry::Record(record))) => {
            let mut rdata = Vec::new();
            record.data().compose_rdata(&mut rdata).unwrap_or_else(|never| match never {});
            if rdata.len() > usize::from(u16::MAX) {
                return Err(blame("data is longer than 65535 octets", 0));
            }
            Ok(rdata.into())
        }
        Ok(_) => Err(blame("unexpected end of entry", line.len())),
        Err(error) => {
            // "line:column: message", and no other way to get at the parts.
            let text = error.to_string();
            let mut parts = text.splitn(3, ':');
            let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
            let place = (number(), number());
            let message = parts.next().unwrap_or(&text).trim();
            match place {
                (Some(1), Some(column)) => Err(blame(message, column - 1)),
                _ => Err(blame(message, line.len())),
            }
        }
    }
}

/// Writes a token so that only ASCII is left: what stands inside quotes may be any octet.
fn put(token: &Token<'_>, line: &mut Vec<u8>) {
    for &octet in token.text {
        match octet {
            0x20..=0x7e => line.push(octet),
            _ => line.extend_from_slice(format!("\\{octet:03}").as_bytes()),
        }
    }
}

/// Names are read here and passed on in full: the scanner lets empty labels through, and takes a
/// lone `@` for a label.
fn put_name(
    rtype: Rtype,
    token: &Token<'_>,
    origin: &Name,
    line: &mut Vec<u8>,
) -> Result<(), DataError> {
    let name = reader::read_name(token, origin).map_err(|fault| DataError {
        message: format!("{rtype} record: {}", fault.message),
        help: None,
        place: Some(fault.place),
    })?;
    line.extend_from_slice(name.to_string().as_bytes());
    Ok(())
}

/// SOA's times may have units.
fn put_seconds(token: &Token<'_>, line: &mut Vec<u8>) -> Result<(), DataError> {
    match seconds(token.text) {
        Some(seconds) => line.extend_from_slice(seconds.to_string().as_bytes()),
        None => {
            return Err(DataError {
                message: "SOA record: not a time".to_owned(),
                help: Some("write seconds, or units: 2h, 1w3d, 1h30m"),
                place: Some(token.place),
            });
        }
    }
    Ok(())
}

/// Seconds, or a sum of numbers with the units that every server reads: w d h m s.
pub(super) fn seconds(text: &[u8]) -> Option<u32> {
    let mut total = 0u32;
    let mut number = None;
    let mut bare = true;
    for &octet in text {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                let digit = u32::from(digit - b'0');
                number = Some(number.unwrap_or(0u32).checked_mul(10)?.checked_add(digit)?);
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        bare = false;
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    match number {
        Some(rest) if bare => Some(rest),
        Some(_) => None,
        None if bare => None,
        None => Some(total),
    }
}

/// Finds the token to blame. The scanner's column is where it stopped reading: inside the bad
/// token, at its end, or already at the next one.
fn blame(
    rtype: Rtype,
    tokens: &[Token<'_>],
    starts: &[usize],
    message: &str,
    column: usize,
) -> DataError {
    let before = |inclusive: bool| {
        let reached = |&&start: &&usize| start < column || inclusive && start == column;
        starts.iter().filter(reached).count().saturating_sub(1)
    };
    let after_last = tokens.last().map(|token| token.place.after());
    let token = |i: usize| tokens.get(i).map(|token| token.place);
    let (message, place) = match message {
        "unexpected end of entry" | "short buffer" => ("ends too early", after_last),
        "trailing tokens" => ("has more data than its type takes", token(before(true))),
        "unknown record type with concrete data" => ("has no text form here", token(0)),
        "bad name" => ("has a malformed name", token(before(false))),
        bad if bad.starts_with("bad symbol") => {
            ("has a malformed escape or character", token(before(true)))
        }
        "bad charstr" => ("has a string longer than 255 octets", token(before(false))),
        other => (other, token(before(false))),
    };
    let help = match message {
        "has no text form here" => Some("write it as RFC 3597 has it: \\# LENGTH HEX"),
        "has a string longer than 255 octets" => Some("split it into several quoted strings"),
        _ => None,
    };
    let separator =
        if message.starts_with("has ") || message.starts_with("ends ") { "" } else { ":" };
    DataError { message: format!("{rtype} record{separator} {message}"), help, place }
}

/// Which tokens of a type's data are names.
fn name_places(rtype: Rtype) -> &'static [usize] {
    const RP: Rtype = Rtype(17);
    const AFSDB: Rtype = Rtype(18);
    match rtype {
        Rtype::NS
        | Rtype::CNAME
        | Rtype::DNAME
        | Rtype::PTR
        | Rtype::MD
        | Rtype::MF
        | Rtype::MB
        | Rtype::MG
        | Rtype::MR
        | Rtype::NSEC => &[0],
        Rtype::SOA | Rtype::MINFO | RP => &[0, 1],
        Rtype::MX | Rtype::SVCB | Rtype::HTTPS | AFSDB => &[1],
        Rtype::SRV => &[3],
        Rtype::NAPTR => &[5],
        Rtype::RRSIG => &[7],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn ttls_with_units() {
        for (text, value) in [
            ("0", Some(0)),
            ("300", Some(300)),
            ("1h30m", Some(5_400)),
            ("2W1D", Some(1_296_000)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("7102w", None),
            ("1h30", None),
            ("h", None),
            ("", None),
            ("1y", None),
            ("-1", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), value, "{text}");
        }
    }
}
