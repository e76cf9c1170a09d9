//! Who signed a message, whether that still counts, and the signature of the reply (RFC 8945 §5).
//!
//! ```text
//!   TSIG record ─▶ key and algorithm known? ─▶ code right? ─▶ clock near? ─▶ code whole? ─▶ Verified
//!       │                 │ BADKEY               │ BADSIG         │ BADTIME      │ BADTRUNC
//!       ▼                 └─── unsigned reply ───┘                └─ signed reply┘
//!     FORMERR
//! ```
//!
//! The order is that of RFC 8945 §5.2: nothing that a message says is believed before its code is
//! right. The clock is an argument.

use aws_lc_rs::{constant_time, hmac};
use dns::name::Name;
use dns::tsig::{self, TsigError, Variables};

use crate::updates::{Algorithm, Key, Updates};

/// The most that clocks may differ, whatever a client allows: what RFC 8945 §10 recommends. It
/// bounds for how long a message can be played back.
pub const MAX_FUDGE: u64 = 300;
/// What we allow our clients' clocks.
const FUDGE: u16 = 300;

/// A message that the holder of a key has signed, just now.
#[derive(Debug)]
pub struct Verified {
    /// The key.
    pub key: Name,
    /// For the reply.
    pub seal: Seal,
}

/// Why a signature does not count.
#[derive(Debug)]
pub enum Rejected {
    /// It cannot be one: FORMERR, and no record in the reply.
    Malformed,
    /// NOTAUTH, and the record says why.
    Error(TsigError, Seal),
}

/// The TSIG record of a reply, still without its code.
#[derive(Debug)]
pub struct Seal {
    variables: Variables,
    /// None: the reply goes unsigned, since who asked has not shown that they hold the key.
    signer: Option<Signer>,
}

#[derive(Debug)]
struct Signer {
    /// Large: it holds prepared state.
    key: Box<hmac::Key>,
    request_mac: Vec<u8>,
}

/// Verifies a request's signature at `now`, in seconds since 1970. One from before `earliest` is out
/// of date, however near: what was carried out then is not remembered.
///
/// # Errors
///
/// What the client is told.
pub fn verify(
    request: &tsig::Request<'_>,
    updates: &Updates,
    earliest: u64,
    now: u64,
) -> Result<Verified, Rejected> {
    let variables = &request.variables;
    let known =
        updates.key(&variables.key).filter(|key| key.algorithm.is(variables.algorithm.as_name()));
    let Some(key) = known else {
        return Err(Rejected::Error(TsigError::BADKEY, Seal::unsigned(request, TsigError::BADKEY)));
    };
    let hmac = hmac_of(key);
    let whole = hmac.algorithm().digest_algorithm().output_len();
    // RFC 8945 §5.2.2.1.
    if request.mac.len() > whole || request.mac.len() < (whole / 2).max(10) {
        return Err(Rejected::Malformed);
    }
    let code = hmac::sign(&hmac, &request.signed());
    let sent = &code.as_ref()[..request.mac.len()];
    if constant_time::verify_slices_are_equal(sent, request.mac).is_err() {
        return Err(Rejected::Error(TsigError::BADSIG, Seal::unsigned(request, TsigError::BADSIG)));
    }
    let fudge = u64::from(variables.fudge).min(MAX_FUDGE);
    let error = if variables.time.abs_diff(now) > fudge || variables.time < earliest {
        TsigError::BADTIME
    } else if request.mac.len() < whole {
        // Allowed by the standard, and by nobody's needs.
        TsigError::BADTRUNC
    } else {
        TsigError::NONE
    };
    let signer = Signer { key: Box::new(hmac), request_mac: request.mac.to_vec() };
    let seal = Seal::signed(variables, signer, error, now);
    match error {
        TsigError::NONE => Ok(Verified { key: key.name.clone(), seal }),
        error => Err(Rejected::Error(error, seal)),
    }
}

fn hmac_of(key: &Key) -> hmac::Key {
    let algorithm = match key.algorithm {
        Algorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::HmacSha224 => hmac::HMAC_SHA224,
        Algorithm::HmacSha256 => hmac::HMAC_SHA256,
        Algorithm::HmacSha384 => hmac::HMAC_SHA384,
        Algorithm::HmacSha512 => hmac::HMAC_SHA512,
    };
    hmac::Key::new(algorithm, &key.secret)
}

impl Seal {
    /// RFC 8945 §5.3.2: what the client sent comes back, with the error and without a code.
    fn unsigned(request: &tsig::Request<'_>, error: TsigError) -> Self {
        let variables = Variables { error, other: Vec::new(), ..request.variables.clone() };
        Self { variables, signer: None }
    }

    fn signed(request: &Variables, signer: Signer, error: TsigError, now: u64) -> Self {
        let mut variables = Variables {
            time: now,
            fudge: FUDGE,
            error,
            other: Vec::new(),
            key: request.key.clone(),
            algorithm: request.algorithm.clone(),
        };
        if error == TsigError::BADTIME {
            // RFC 8945 §5.2.3: the client's time, so that it believes the record, and ours.
            variables.time = request.time;
            variables.other = tsig::time_octets(now).to_vec();
        }
        Self { variables, signer: Some(signer) }
    }

    /// Octets that the record takes.
    pub fn record_len(&self) -> usize {
        let mac = self.signer.as_ref();
        let mac = mac.map_or(0, |by| by.key.algorithm().digest_algorithm().output_len());
        self.variables.encoded_len(mac)
    }

    /// Adds the record to a whole reply. `now`, in seconds since 1970, is when it is sent: an
    /// update may have taken a moment.
    pub fn put_on(mut self, reply: &mut Vec<u8>, now: u64) {
        let Some(Signer { key, request_mac }) = &self.signer else {
            return self.variables.write(reply, &[]);
        };
        if self.variables.error != TsigError::BADTIME {
            self.variables.time = now;
        }
        let code = hmac::sign(key, &self.variables.signed(request_mac, reply));
        self.variables.write(reply, code.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dns::wire;

    const NOW: u64 = 1_800_000_000;
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";

    fn key(name: &str, algorithm: Algorithm) -> Key {
        let secret = b"a secret that nobody knows, not even you"[..].into();
        Key { name: name.parse().unwrap(), algorithm, secret }
    }

    fn updates() -> Updates {
        let keys = [
            key("one", Algorithm::HmacSha1),
            key("two24", Algorithm::HmacSha224),
            key("two", Algorithm::HmacSha256),
            key("three", Algorithm::HmacSha384),
            key("five", Algorithm::HmacSha512),
        ];
        Updates::new(keys, [])
    }

    /// A query as the holder of `key` signs it; the code is cut to `length`.
    fn query(key: &Key, time: u64, fudge: u16, length: usize) -> Vec<u8> {
        let variables = Variables {
            key: key.name.clone(),
            algorithm: key.algorithm.word().to_uppercase().parse().unwrap(),
            time,
            fudge,
            error: TsigError::NONE,
            other: Vec::new(),
        };
        // A reply to nothing has two octets more in front.
        let signed = variables.signed(&[], QUERY);
        let code = hmac::sign(&hmac_of(key), &signed[2..]);
        let mut message = QUERY.to_vec();
        variables.write(&mut message, &code.as_ref()[..length.min(code.as_ref().len())]);
        message
    }

    fn verdict(message: &[u8]) -> Result<Verified, Rejected> {
        verdict_since(message, 0)
    }

    fn verdict_since(message: &[u8], earliest: u64) -> Result<Verified, Rejected> {
        let request = wire::Request::parse(message).unwrap();
        verify(&tsig::Request::read(&request).unwrap().unwrap(), &updates(), earliest, NOW)
    }

    #[test]
    fn what_was_signed_before_this_process_began_is_out_of_date() {
        let message = query(&key("two", Algorithm::HmacSha256), NOW - 10, 300, 32);
        assert!(verdict_since(&message, NOW - 10).is_ok());
        let rejected = verdict_since(&message, NOW - 9);
        assert!(matches!(rejected, Err(Rejected::Error(TsigError::BADTIME, _))), "{rejected:?}");
    }

    /// The error, and whether the reply is signed.
    fn rejected(message: &[u8]) -> Option<(TsigError, bool)> {
        match verdict(message) {
            Ok(_) | Err(Rejected::Malformed) => None,
            Err(Rejected::Error(error, seal)) => Some((error, seal.signer.is_some())),
        }
    }

    #[test]
    fn rfc8945_5_2_every_algorithm_verifies_and_signs() {
        for name in ["one", "two24", "two", "three", "five"] {
            let updates = updates();
            let key = updates.key(&name.parse().unwrap()).unwrap();
            let message = query(key, NOW - 299, 300, usize::MAX);
            let Verified { key: who, seal } = verdict(&message).unwrap();
            assert_eq!(who, key.name);
            // Any message will do, and one without QR can be read again.
            let mut reply = QUERY.to_vec();
            let expected = seal.record_len();
            let request_mac = seal.signer.as_ref().unwrap().request_mac.clone();
            seal.put_on(&mut reply, NOW + 1);
            assert_eq!(reply.len() - QUERY.len(), expected);
            let request = wire::Request::parse(&reply).unwrap();
            let record = tsig::Request::read(&request).unwrap().unwrap();
            assert_eq!((record.variables.time, record.variables.error), (NOW + 1, TsigError::NONE));
            let code = hmac::sign(&hmac_of(key), &record.variables.signed(&request_mac, QUERY));
            assert_eq!(code.as_ref(), record.mac);
        }
    }

    #[test]
    fn rfc8945_5_2_1_keys() {
        let stranger = query(&key("nobody", Algorithm::HmacSha256), NOW, 300, 32);
        assert_eq!(rejected(&stranger), Some((TsigError::BADKEY, false)));
        let other_algorithm = query(&key("two", Algorithm::HmacSha512), NOW, 300, 64);
        assert_eq!(rejected(&other_algorithm), Some((TsigError::BADKEY, false)));
    }

    #[test]
    fn rfc8945_5_2_2_codes() {
        let two = key("two", Algorithm::HmacSha256);
        let message = query(&two, NOW, 300, 32);
        assert!(verdict(&message).is_ok());
        let other = Key { secret: b"another secret"[..].into(), ..two.clone() };
        assert_eq!(rejected(&query(&other, NOW, 300, 32)), Some((TsigError::BADSIG, false)));
        // Every octet of the message and of the record is covered, but for the message's own id.
        let request = wire::Request::parse(&message).unwrap();
        let start = request.signature.unwrap().start;
        let class_and_ttl = start + 5 + 2..start + 5 + 8;
        for at in (2..message.len()).filter(|at| !class_and_ttl.contains(at)) {
            let mut forged = message.clone();
            forged[at] ^= 0x01;
            let request = wire::Request::parse(&forged);
            let request =
                request.ok().and_then(|r| tsig::Request::read(&r).ok().flatten().map(|_| ()));
            if request.is_some() {
                assert!(verdict(&forged).is_err(), "octet {at}");
            }
        }
        let mut forwarded = message;
        forwarded[0] ^= 0xff;
        assert!(verdict(&forwarded).is_ok(), "a forwarder gives ids of its own");
    }

    #[test]
    fn rfc8945_5_2_2_1_shortened_codes() {
        let two = key("two", Algorithm::HmacSha256);
        assert_eq!(rejected(&query(&two, NOW, 300, 31)), Some((TsigError::BADTRUNC, true)));
        assert_eq!(rejected(&query(&two, NOW, 300, 16)), Some((TsigError::BADTRUNC, true)));
        for length in [0, 15] {
            let verdict = verdict(&query(&two, NOW, 300, length));
            assert!(matches!(verdict, Err(Rejected::Malformed)), "{length}");
        }
        // Too long for its algorithm.
        let variables = Variables {
            key: two.name.clone(),
            algorithm: "hmac-sha256".parse().unwrap(),
            time: NOW,
            fudge: 300,
            error: TsigError::NONE,
            other: Vec::new(),
        };
        let mut message = QUERY.to_vec();
        variables.write(&mut message, &[0; 33]);
        assert!(matches!(verdict(&message), Err(Rejected::Malformed)));
    }

    #[test]
    fn rfc8945_5_2_3_clocks() {
        let two = key("two", Algorithm::HmacSha256);
        let at = |time, fudge| rejected(&query(&two, time, fudge, 32));
        let bad = Some((TsigError::BADTIME, true));
        assert_eq!((at(NOW - 300, 300), at(NOW + 300, 300)), (None, None));
        assert_eq!((at(NOW - 301, 300), at(NOW + 301, 300)), (bad, bad));
        assert_eq!((at(NOW - 10, 10), at(NOW - 11, 10)), (None, bad));
        assert_eq!(at(NOW - 301, u16::MAX), bad, "a client's patience is not ours");
        // Clocks at their ends.
        assert_eq!((at(0, 300), at((1 << 48) - 1, 300)), (bad, bad));
        let Err(Rejected::Error(_, seal)) = verdict(&query(&two, 7, 300, 32)) else { panic!() };
        assert_eq!(seal.variables.time, 7);
        assert_eq!(seal.variables.other, tsig::time_octets(NOW));
    }
}
