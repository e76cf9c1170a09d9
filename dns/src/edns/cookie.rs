//! Server cookies that every server of an anycast set makes and accepts alike (RFC 9018).
//!
//! ```text
//!   version (1) │ reserved (3) │ time stamp (4) │ hash (8)
//!        1      │      0       │ seconds, u32   │ SipHash-2-4(client cookie │ first 8 │ address)
//!                                                 keyed with the server secret
//! ```
//!
//! A client that returns our cookie has received it at its address: the address is not forged,
//! and nothing has to be remembered of it here.
//!
//! | age of the cookie | [`Verdict`] | §4.3 |
//! |---|---|---|
//! | more than 5 minutes in the future | [`Invalid`](Verdict::Invalid) | clocks of one set differ by less |
//! | up to 30 minutes | [`Valid`](Verdict::Valid) | the very cookie may go back |
//! | up to 1 hour, or not of the active secret | [`Renew`](Verdict::Renew) | as good, and a fresh one goes back |
//! | older | [`Invalid`](Verdict::Invalid) | |
//!
//! # Where secrets come from
//!
//! **Configured** ([`Secrets::configured`]): used as they are, so that other servers with the same
//! secret (BIND, Knot, NSD, other nodes) accept our cookies and we theirs. They are rolled by
//! people, in three stages (§5) that take all servers of the set one by one:
//!
//! 1. the new secret is added to those that are accepted, everywhere;
//! 2. it becomes the active one, with which cookies are made; the old one is still accepted;
//! 3. an hour later no cookie of the old one is valid any more, and it goes.
//!
//! **Rolling** ([`Secrets::rolling`]): one process alone, nothing to configure. The secret of a
//! cookie is derived from a random master and from the *day in the cookie's own time stamp*: the
//! same for all that cookie's life, another one for the cookies of tomorrow. So it rolls without a
//! task, a lock or a moment at which good cookies become invalid, and no secret makes cookies for
//! longer than a day (RFC 7873 §7.1: not for more than 26 hours). As stamps are only believed for
//! an hour, who learns a day's secret can forge cookies for little longer than that day; it does
//! not tell the master.

use super::Cookie;
use arrayvec::ArrayVec;
use siphasher::sip::SipHasher24;
use siphasher::sip128::SipHasher24 as SipHasher24Wide;
use std::net::IpAddr;

/// Octets of a server cookie of version 1.
pub const LEN: usize = 16;
/// Most secrets at once: each that does not fit a forged cookie costs a hash. A rollover needs two,
/// one that was begun again before its end needs three.
pub const MAX_SECRETS: usize = 4;

/// The one version there is (§4.1).
const VERSION: u8 = 1;
/// Seconds that a cookie is valid (§4.3).
const LIFETIME: i32 = 3600;
/// Seconds after which a valid cookie is replaced (§4.3).
const RENEW: i32 = 1800;
/// Seconds that the clock of another server of the set may be ahead (§4.3).
const FUTURE: i32 = 300;
/// Seconds for which a rolling secret is derived.
const DAY: u32 = 86_400;

/// The key of the hash: 128 bits, as 32 hexadecimal digits in a file. It is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

/// Not a secret. Whoever wrote it is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It must be 128 bits.
    #[error("{0} hexadecimal digits; a secret has 32")]
    Length(usize),
    /// Another character, so many octets from the start.
    #[error("octet {} is no hexadecimal digit", .0 + 1)]
    Digit(usize),
}

/// The secret that makes cookies, and all that are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets(Source);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// The first makes cookies.
    Configured(ArrayVec<Secret, MAX_SECRETS>),
    /// The master.
    Rolling(Secret),
}

/// What a query's cookie proves about its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the client has no cookie of ours yet.
    Absent,
    /// It is the client's own.
    Valid,
    /// It is the client's own, but the client should get a new one: this one is old, or not of the
    /// active secret.
    Renew,
    /// Nothing: it is forged, out of date, of another address or of a secret we do not have.
    Invalid,
}

impl Verdict {
    /// Whether the client's address is its own.
    pub fn is_valid(self) -> bool {
        matches!(self, Verdict::Valid | Verdict::Renew)
    }
}

impl Secret {
    /// A secret from octets.
    pub fn new(octets: [u8; 16]) -> Self {
        Secret(octets)
    }

    /// The last eight octets of a cookie that begins with `head`.
    fn hash(&self, client: [u8; 8], head: [u8; 8], peer: IpAddr) -> [u8; 8] {
        let mut data = ArrayVec::<u8, 32>::new();
        data.extend(client);
        data.extend(head);
        // An IPv4 client is the same one on a socket for both families.
        match peer.to_canonical() {
            IpAddr::V4(v4) => data.extend(v4.octets()),
            IpAddr::V6(v6) => data.extend(v6.octets()),
        }
        SipHasher24::new_with_key(&self.0).hash(&data).to_le_bytes()
    }

    /// The secret of the day in which `stamp` lies.
    fn of_day(&self, stamp: u32) -> Secret {
        let day = stamp / DAY;
        Secret(SipHasher24Wide::new_with_key(&self.0).hash(&day.to_be_bytes()).as_bytes())
    }
}

impl std::str::FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let mut value = 0_u128;
        for (place, digit) in text.char_indices() {
            let digit = digit.to_digit(16).ok_or(SecretError::Digit(place))?;
            value = value << 4 | u128::from(digit);
        }
        if text.len() != 32 {
            return Err(SecretError::Length(text.len()));
        }
        Ok(Secret(value.to_be_bytes()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secrets {
    /// Secrets that several servers share: `active` makes cookies, `accepted` are valid too. Of
    /// more than [`MAX_SECRETS`] the last are left out.
    pub fn configured(active: Secret, accepted: impl IntoIterator<Item = Secret>) -> Self {
        let all = std::iter::once(active).chain(accepted);
        Secrets(Source::Configured(all.take(MAX_SECRETS).collect()))
    }

    /// Secrets of this process alone, one for each day, from a random `master`.
    pub fn rolling(master: Secret) -> Self {
        Secrets(Source::Rolling(master))
    }

    /// Judges a query's cookie. `peer` is where the query came from; `now` counts seconds since
    /// 1970 modulo 2³² (§4.3: serial number arithmetic, RFC 1982).
    ///
    /// The reserved octets may hold anything (§4.2); they are hashed as they came.
    pub fn verify(&self, cookie: &Cookie<'_>, peer: IpAddr, now: u32) -> Verdict {
        if cookie.server.is_empty() {
            return Verdict::Absent;
        }
        let Some((head, hash)) = split(cookie.server) else { return Verdict::Invalid };
        let [VERSION, _, _, _, stamp @ ..] = head else { return Verdict::Invalid };
        let stamp = u32::from_be_bytes(stamp);
        let age = now.wrapping_sub(stamp).cast_signed();
        if !(-FUTURE..=LIFETIME).contains(&age) {
            return Verdict::Invalid;
        }
        // Whole numbers are compared: how long it takes says nothing about where they differ.
        let made_it = |secret: &Secret| secret.hash(cookie.client, head, peer) == hash;
        let place = match &self.0 {
            Source::Configured(secrets) => secrets.iter().position(made_it),
            Source::Rolling(master) => made_it(&master.of_day(stamp)).then_some(0),
        };
        match place {
            None => Verdict::Invalid,
            Some(0) if age <= RENEW => Verdict::Valid,
            // Of a secret that goes, or comes: from now on the client shall have ours.
            Some(_) => Verdict::Renew,
        }
    }

    /// A fresh server cookie for a client cookie from `peer`; `now` as for
    /// [`verify`](Self::verify).
    pub fn server_cookie(&self, client: [u8; 8], peer: IpAddr, now: u32) -> [u8; LEN] {
        let [a, b, c, d] = now.to_be_bytes();
        let head = [VERSION, 0, 0, 0, a, b, c, d];
        let secret = match &self.0 {
            Source::Configured(secrets) => secrets[0],
            Source::Rolling(master) => master.of_day(now),
        };
        let mut cookie = [0; LEN];
        cookie[..8].copy_from_slice(&head);
        cookie[8..].copy_from_slice(&secret.hash(client, head, peer));
        cookie
    }
}

/// A server cookie of this length in its two halves.
fn split(server: &[u8]) -> Option<([u8; 8], [u8; 8])> {
    let (head, rest) = server.split_first_chunk::<8>()?;
    Some((*head, rest.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: [u8; 8] = *b"clientck";
    const NOW: u32 = 1_800_000_000;

    fn secret(hex: &str) -> Secret {
        hex.parse().unwrap()
    }

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        let octet = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        assert_eq!(hex.len(), 2 * N);
        std::array::from_fn(|i| octet(2 * i))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn verdict(secrets: &Secrets, server: &[u8], peer: &str, now: u32) -> Verdict {
        secrets.verify(&Cookie { client: CLIENT, server }, address(peer), now)
    }

    /// Two ways of having secrets, under which all but rollover is the same.
    fn both() -> [Secrets; 2] {
        [Secrets::configured(Secret([7; 16]), []), Secrets::rolling(Secret([7; 16]))]
    }

    /// One example of RFC 9018 Appendix A.
    struct Example {
        secrets: Secrets,
        peer: &'static str,
        client: &'static str,
        /// What the client sent, and what it proved at that time.
        sent: (&'static str, Verdict),
        now: u32,
        replied: &'static str,
    }

    #[test]
    fn rfc9018_appendix_a() {
        let first = || Secrets::configured(secret("e5e973e5a6b2a43f48e7dc849e37bfcf"), []);
        let rolled = Secrets::configured(
            secret("445536bcd2513298075a5d379663c962"),
            [secret("dd3bdf9344b678b185a6f5cb60fca715")],
        );
        for (name, Example { secrets, peer, client, sent, now, replied }) in [
            (
                "A.1",
                Example {
                    secrets: first(),
                    peer: "198.51.100.100",
                    client: "2464c4abcf10c957",
                    sent: ("", Verdict::Absent),
                    now: 1_559_731_985,
                    replied: "010000005cf79f111f8130c3eee29480",
                },
            ),
            (
                "A.2",
                Example {
                    secrets: first(),
                    peer: "198.51.100.100",
                    client: "2464c4abcf10c957",
                    sent: ("010000005cf79f111f8130c3eee29480", Verdict::Renew),
                    now: 1_559_734_385,
                    replied: "010000005cf7a871d4a564a1442aca77",
                },
            ),
            (
                // One hour and 52 minutes old: past what §4.3 recommends, and past ours.
                "A.3",
                Example {
                    secrets: first(),
                    peer: "203.0.113.203",
                    client: "fc93fc62807ddb86",
                    sent: ("01abcdef5cf78f71a314227b6679ebf5", Verdict::Invalid),
                    now: 1_559_734_700,
                    replied: "010000005cf7a9acf73a7810aca2381e",
                },
            ),
            (
                // A younger copy of the same cookie: its reserved octets are not zero.
                "A.3, in time",
                Example {
                    secrets: first(),
                    peer: "203.0.113.203",
                    client: "fc93fc62807ddb86",
                    sent: ("01abcdef5cf78f71a314227b6679ebf5", Verdict::Valid),
                    now: 1_559_727_985,
                    replied: "010000005cf78f71",
                },
            ),
            (
                "A.4",
                Example {
                    secrets: rolled,
                    peer: "2001:db8:220:1:59de:d0f4:8769:82b8",
                    client: "22681ab97d52c298",
                    sent: ("010000005cf7c57926556bd0934c72f8", Verdict::Renew),
                    now: 1_559_741_961,
                    replied: "010000005cf7c609a6bb79d16625507a",
                },
            ),
        ] {
            let (client, peer) = (octets::<8>(client), address(peer));
            let received = if sent.0.is_empty() { vec![] } else { octets::<LEN>(sent.0).to_vec() };
            let cookie = Cookie { client, server: &received };
            assert_eq!(secrets.verify(&cookie, peer, now), sent.1, "{name}");
            let fresh = secrets.server_cookie(client, peer, now);
            let fresh: String = fresh.iter().map(|octet| format!("{octet:02x}")).collect();
            assert!(fresh.starts_with(replied), "{name}: {fresh}");
        }
    }

    #[test]
    fn rfc9018_4_3_ages() {
        for secrets in both() {
            for made in [NOW, 0, 100, u32::MAX - 100, 1 << 31, 20_000 * DAY - 1] {
                let cookie = secrets.server_cookie(CLIENT, address("192.0.2.1"), made);
                for (age, expected) in [
                    (-301, Verdict::Invalid),
                    (-300, Verdict::Valid),
                    (0, Verdict::Valid),
                    (1800, Verdict::Valid),
                    (1801, Verdict::Renew),
                    (3600, Verdict::Renew),
                    (3601, Verdict::Invalid),
                    (i32::MAX, Verdict::Invalid),
                    (i32::MIN, Verdict::Invalid),
                ] {
                    let now = made.wrapping_add_signed(age);
                    let seen = verdict(&secrets, &cookie, "192.0.2.1", now);
                    assert_eq!(seen, expected, "made at {made}, {age} s ago");
                }
            }
        }
    }

    #[test]
    fn a_cookie_is_one_clients_and_no_bit_of_it_may_change() {
        for secrets in both() {
            for (peer, another) in
                [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::1:0:0:1")]
            {
                let cookie = secrets.server_cookie(CLIENT, address(peer), NOW);
                assert_eq!(verdict(&secrets, &cookie, peer, NOW), Verdict::Valid);
                assert_eq!(verdict(&secrets, &cookie, another, NOW), Verdict::Invalid);
                let stolen = Cookie { client: *b"another!", server: &cookie };
                assert_eq!(secrets.verify(&stolen, address(peer), NOW), Verdict::Invalid);
                for bit in 0..8 * LEN {
                    let mut forged = cookie;
                    forged[bit / 8] ^= 1 << (bit % 8);
                    let seen = verdict(&secrets, &forged, peer, NOW);
                    assert_eq!(seen, Verdict::Invalid, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn other_lengths_are_other_servers_cookies() {
        for secrets in both() {
            let cookie = secrets.server_cookie(CLIENT, address("192.0.2.1"), NOW);
            let long = [&cookie[..], &[0; 16]].concat();
            for length in (8..=32).filter(|length| *length != LEN) {
                let seen = verdict(&secrets, &long[..length], "192.0.2.1", NOW);
                assert_eq!(seen, Verdict::Invalid, "{length}");
            }
            assert_eq!(verdict(&secrets, &[], "192.0.2.1", NOW), Verdict::Absent);
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_client_it_maps() {
        for secrets in both() {
            let cookie = secrets.server_cookie(CLIENT, address("::ffff:192.0.2.1"), NOW);
            assert_eq!(verdict(&secrets, &cookie, "192.0.2.1", NOW), Verdict::Valid);
        }
    }

    /// RFC 9018 §5: two servers go through the three stages, never at the same time.
    #[test]
    fn rfc9018_5_no_cookie_is_lost_in_a_rollover() {
        let (old, new) = (Secret([1; 16]), Secret([2; 16]));
        let stages = [
            Secrets::configured(old, []),
            Secrets::configured(old, [new]),
            Secrets::configured(new, [old]),
            Secrets::configured(new, []),
        ];
        let accepts = |by: &Secrets, made_by: &Secrets| {
            let cookie = made_by.server_cookie(CLIENT, address("192.0.2.1"), NOW);
            verdict(by, &cookie, "192.0.2.1", NOW).is_valid()
        };
        for [before, after] in stages.array_windows() {
            assert!(accepts(before, after) && accepts(after, before));
        }
        assert!(!accepts(&stages[0], &stages[2]), "a stage must not be left out");
        assert!(!accepts(&stages[3], &stages[1]), "nor the last one be begun early");
    }

    #[test]
    fn a_rolling_secret_is_another_one_each_day_and_loses_no_cookie_at_midnight() {
        let secrets = Secrets::rolling(Secret([7; 16]));
        let midnight = 20_000 * DAY;
        let before = secrets.server_cookie(CLIENT, address("192.0.2.1"), midnight - 1);
        assert_eq!(verdict(&secrets, &before, "192.0.2.1", midnight + 1), Verdict::Valid);
        let master = Secret([7; 16]);
        assert_eq!(master.of_day(midnight), master.of_day(midnight + DAY - 1));
        assert_ne!(master.of_day(midnight), master.of_day(midnight - 1));
        let other = Secrets::rolling(Secret([8; 16]));
        assert_eq!(verdict(&other, &before, "192.0.2.1", midnight), Verdict::Invalid);
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        let text = "00112233445566778899aabbccddeeFF";
        let read = secret(text);
        assert_eq!(read.0[..3], [0x00, 0x11, 0x22]);
        assert_eq!(read.0[15], 0xff);
        for (text, error) in [
            ("", SecretError::Length(0)),
            (&text[1..], SecretError::Length(31)),
            (&format!("{text}00"), SecretError::Length(34)),
            ("0011 2233445566778899aabbccddeeff", SecretError::Digit(4)),
            ("+0112233445566778899aabbccddeeff", SecretError::Digit(0)),
            ("0é112233445566778899aabbccddeeff", SecretError::Digit(1)),
        ] {
            assert_eq!(text.parse::<Secret>(), Err(error), "{text}");
        }
        let shown = format!("{:?}", Secrets::configured(read, [read]));
        assert!(!shown.contains("11") && !shown.contains("17"), "{shown}");
    }

    #[test]
    fn more_secrets_than_the_most_are_left_out() {
        let several = (0..10).map(|i| Secret([i; 16]));
        let Source::Configured(kept) = Secrets::configured(Secret([99; 16]), several).0 else {
            panic!("configured")
        };
        assert_eq!(kept.len(), MAX_SECRETS);
        assert_eq!(kept[0], Secret([99; 16]));
    }
}
