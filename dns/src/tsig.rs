//! Transaction signatures: the record, and what is signed (RFC 8945).
//!
//! ```text
//!   request  [id flags counts │ … │ TSIG]         signed: message without TSIG │ variables
//!                                    └ mac ┐
//!   reply    [id flags counts │ … │ TSIG]  └▶     signed: mac │ message without TSIG │ variables
//! ```
//!
//! The variables are the TSIG record less its code itself, so that neither the time nor the key can
//! be changed. The code is computed by the caller over [`Request::signed`] and
//! [`Variables::signed`]: this crate holds no cryptography and no clock.
//!
//! ```
//! # use dns::{tsig, wire};
//! # fn hmac(_key: &[u8], _octets: &[u8]) -> Vec<u8> { vec![7; 32] }
//! fn verify(bytes: &[u8], key: &[u8]) -> bool {
//!     let Ok(request) = wire::Request::parse(bytes) else { return false };
//!     let Ok(Some(signature)) = tsig::Request::read(&request) else { return false };
//!     hmac(key, &signature.signed()) == signature.mac // in constant time, then the clock
//! }
//! # assert!(!verify(b"", b""));
//! ```

use crate::name::{LowerName, Name, NameRef};
use crate::rr::{Class, Rcode, Rtype};
use crate::wire::{self, HEADER_LEN};

/// What a TSIG record says besides the code, with the form in which it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables {
    /// The key's name.
    pub key: Name,
    /// The algorithm's name.
    pub algorithm: Name,
    /// When it was signed, in seconds since 1970; 48 bits.
    pub time: u64,
    /// How many seconds clocks may differ.
    pub fudge: u16,
    /// What the server found wrong with a request; 0 for nothing.
    pub error: TsigError,
    /// The server's clock if [`TsigError::BADTIME`]; else empty.
    pub other: Vec<u8>,
}

/// The error field of a TSIG record (RFC 8945 §3). Some of its numbers mean other things elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TsigError(pub u16);

impl TsigError {
    /// Nothing is wrong.
    pub const NONE: TsigError = TsigError(0);
    /// The code is not the message's.
    pub const BADSIG: TsigError = TsigError(16);
    /// No such key, or not with this algorithm.
    pub const BADKEY: TsigError = TsigError(17);
    /// Signed too long ago, or in the future.
    pub const BADTIME: TsigError = TsigError(18);
    /// A shortened code, shorter than is accepted.
    pub const BADTRUNC: TsigError = TsigError(22);
}

/// The signature of a request, as it was sent.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What it says.
    pub variables: Variables,
    /// The code, perhaps shortened.
    pub mac: &'a [u8],
    /// The id that was signed; forwarders may change the message's own.
    pub original_id: u16,
    /// The message up to the record.
    message: &'a [u8],
}

/// The record cannot be read: FORMERR (RFC 8945 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed TSIG record")]
pub struct Malformed;

/// The key and the algorithm that the TSIG record of `request` names, without reading the rest of it
/// and without allocation: enough to know whether its code is worth computing. `None` if there is no
/// such record, or no names in it.
pub fn names<'a>(request: &wire::Request<'a>) -> Option<(LowerName, NameRef<'a>)> {
    let signature = request.signature.filter(|found| found.rtype == Rtype::TSIG)?;
    let record = wire::record(request.bytes, signature.start)?;
    let key = wire::name_octets(request.bytes, signature.start)?;
    let key = NameRef::parse(&key).ok()?;
    Some((key.into(), NameRef::parse(record.rdata).ok()?))
}

impl<'a> Request<'a> {
    /// The signature of `request`; `None` if it has none, or a SIG(0).
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(request: &wire::Request<'a>) -> Result<Option<Self>, Malformed> {
        let Some(signature) = request.signature.filter(|found| found.rtype == Rtype::TSIG) else {
            return Ok(None);
        };
        let record = wire::record(request.bytes, signature.start).ok_or(Malformed)?;
        // RFC 8945 §4.2: class ANY, TTL 0.
        if Class(record.class) != Class::ANY || record.ttl != 0 {
            return Err(Malformed);
        }
        let key = wire::name(request.bytes, signature.start).ok_or(Malformed)?;
        let algorithm = NameRef::parse(record.rdata).map_err(|_| Malformed)?;
        let mut rest = Rest(&record.rdata[algorithm.wire_len()..]);
        let time = u64::from(rest.u16()?) << 32 | u64::from(rest.u16()?) << 16;
        let time = time | u64::from(rest.u16()?);
        let fudge = rest.u16()?;
        let mac = rest.counted()?;
        let original_id = rest.u16()?;
        let error = TsigError(rest.u16()?);
        let other = rest.counted()?.to_vec();
        if !rest.0.is_empty() {
            return Err(Malformed);
        }
        let algorithm = algorithm.to_name();
        let variables = Variables { key, algorithm, time, fudge, error, other };
        let message = &request.bytes[..signature.start];
        Ok(Some(Request { variables, mac, original_id, message }))
    }

    /// The octets that the code is of (RFC 8945 §4.3.3).
    pub fn signed(&self) -> Vec<u8> {
        let mut octets = self.unsigned();
        octets[..2].copy_from_slice(&self.original_id.to_be_bytes());
        self.variables.append_to(&mut octets);
        octets
    }

    /// The message as if it had never been signed, with its own id.
    pub fn unsigned(&self) -> Vec<u8> {
        let mut octets = self.message.to_vec();
        let additionals = u16::from_be_bytes([octets[10], octets[11]]);
        octets[10..HEADER_LEN].copy_from_slice(&additionals.wrapping_sub(1).to_be_bytes());
        octets
    }
}

impl Variables {
    /// The octets that the code of a reply is of: the request's code, the reply without a TSIG
    /// record, and this.
    pub fn signed(&self, request_mac: &[u8], reply: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(2 + request_mac.len() + reply.len() + 512);
        push_counted(&mut octets, request_mac);
        octets.extend_from_slice(reply);
        self.append_to(&mut octets);
        octets
    }

    /// Adds the record to a whole message, as its last. `mac` is empty in replies that cannot be
    /// signed (RFC 8945 §5.3.2).
    pub fn write(&self, message: &mut Vec<u8>, mac: &[u8]) {
        let id = u16::from_be_bytes([message[0], message[1]]);
        let additionals = u16::from_be_bytes([message[10], message[11]]);
        message[10..HEADER_LEN].copy_from_slice(&additionals.wrapping_add(1).to_be_bytes());
        // Neither name is compressed (RFC 8945 §4.2).
        message.extend_from_slice(self.key.wire());
        push_all(message, [Rtype::TSIG.0, Class::ANY.0, 0, 0]);
        let length_at = message.len();
        push_all(message, [0]);
        message.extend_from_slice(self.algorithm.wire());
        self.push_time(message);
        push_counted(message, mac);
        push_all(message, [id, self.error.0]);
        push_counted(message, &self.other);
        // At most two names' length, a code and a clock: far below 65 535.
        let length = (message.len() - length_at - 2) as u16;
        message[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// Octets of the record with a code of `mac` octets.
    pub fn encoded_len(&self, mac: usize) -> usize {
        let names = self.key.wire().len() + self.algorithm.wire().len();
        // Type, class, TTL, length; time, fudge, length, id, error, length.
        names + 10 + 16 + mac + self.other.len()
    }

    /// The form of RFC 8945 §4.3.3: names in lower case, no code and no id.
    fn append_to(&self, octets: &mut Vec<u8>) {
        octets.extend_from_slice(self.key.lower());
        push_all(octets, [Class::ANY.0, 0, 0]);
        octets.extend_from_slice(self.algorithm.lower());
        self.push_time(octets);
        push_all(octets, [self.error.0]);
        push_counted(octets, &self.other);
    }

    fn push_time(&self, octets: &mut Vec<u8>) {
        octets.extend_from_slice(&time_octets(self.time));
        push_all(octets, [self.fudge]);
    }
}

/// The 48 bits of a time.
pub fn time_octets(time: u64) -> [u8; 6] {
    let [_, _, rest @ ..] = time.to_be_bytes();
    rest
}

/// What the header says when the TSIG record says this (RFC 8945 §5.2).
impl From<TsigError> for Rcode {
    fn from(error: TsigError) -> Rcode {
        if error == TsigError::NONE { Rcode::NOERROR } else { Rcode::NOTAUTH }
    }
}

impl std::fmt::Display for TsigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            TsigError::NONE => f.pad("none"),
            TsigError::BADSIG => f.pad("BADSIG"),
            TsigError::BADKEY => f.pad("BADKEY"),
            TsigError::BADTIME => f.pad("BADTIME"),
            TsigError::BADTRUNC => f.pad("BADTRUNC"),
            TsigError(other) => write!(f, "{other}"),
        }
    }
}

fn push_all<const N: usize>(octets: &mut Vec<u8>, numbers: [u16; N]) {
    octets.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
}

/// A length of two octets, then the data, which is a code or a clock and so never longer.
fn push_counted(octets: &mut Vec<u8>, data: &[u8]) {
    push_all(octets, [data.len() as u16]);
    octets.extend_from_slice(data);
}

/// RDATA not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn u16(&mut self) -> Result<u16, Malformed> {
        let (number, rest) = self.0.split_first_chunk::<2>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*number))
    }

    fn counted(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::from(self.u16()?);
        let (data, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(data)
    }
}
