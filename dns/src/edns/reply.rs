//! The OPT record of a reply.

use super::{ClientSubnet, Cookie, DO, OPT_LEN, VERSION, code};
use crate::rr::{Rcode, Rtype};
use arrayvec::ArrayVec;
use std::time::Duration;

/// Most extended errors in one reply: more would only feed amplification.
pub const MAX_ERRORS: usize = 2;

/// Octets of an option's code and length.
const OPTION_HEAD: usize = 4;

/// What our OPT record says. Fill it before the [`Writer`](crate::wire::Writer) starts, so that
/// [`encoded_len`](Reply::encoded_len) is reserved; the scope may still change until the end.
#[derive(Clone, Debug, Default)]
pub struct Reply<'a> {
    /// The UDP payload we take.
    pub payload: u16,
    /// The query's DO bit, copied (RFC 3225 §3).
    pub do_bit: bool,
    /// The query's cookie with our server part (RFC 7873 §5.2, RFC 9018).
    pub cookie: Option<Cookie<'a>>,
    /// The query's subnet with our scope; only ever an echo.
    pub subnet: Option<ClientSubnet>,
    /// How long the connection may idle (RFC 7828 §3.1), in steps of 100 ms; never over UDP.
    pub keepalive: Option<Duration>,
    /// Our identity (RFC 5001), only if asked.
    pub nsid: Option<&'a [u8]>,
    /// Extended errors (RFC 8914).
    pub errors: ArrayVec<ExtendedError<'a>, MAX_ERRORS>,
    /// Pad the message to a multiple of so many octets (RFC 8467 §4.1: 468), only on encrypted
    /// transports and if the query was padded.
    pub padding: Option<u16>,
}

/// More about an error than the response code tells (RFC 8914 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError<'a> {
    /// What it is, for programs.
    pub code: InfoCode,
    /// What it is, for people; may be empty.
    pub text: &'a str,
}

/// INFO-CODE (RFC 8914 §4 and the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoCode(pub u16);

impl InfoCode {
    /// Anything else.
    pub const OTHER: InfoCode = InfoCode(0);
    /// Data past its freshness was served.
    pub const STALE_ANSWER: InfoCode = InfoCode(3);
    /// The server is not ready yet.
    pub const NOT_READY: InfoCode = InfoCode(14);
    /// Refused to this client by policy.
    pub const PROHIBITED: InfoCode = InfoCode(18);
    /// The server is not authoritative for the name.
    pub const NOT_AUTHORITATIVE: InfoCode = InfoCode(20);
    /// The operation or query is not supported.
    pub const NOT_SUPPORTED: InfoCode = InfoCode(21);
    /// The data is invalid.
    pub const INVALID_DATA: InfoCode = InfoCode(24);
    /// The type must never be asked (RFC 9824 §3.5).
    pub const INVALID_QUERY_TYPE: InfoCode = InfoCode(30);
}

impl<'a> Reply<'a> {
    /// The same with one more error, unless there are [`MAX_ERRORS`] already.
    pub fn with_error<'b>(&self, error: ExtendedError<'b>) -> Reply<'b>
    where
        'a: 'b,
    {
        let mut more: Reply<'b> = self.clone();
        let _ = more.errors.try_push(error);
        more
    }

    /// Octets that the record takes at most, padding's data not counted: that takes what is left.
    pub fn encoded_len(&self) -> usize {
        let option = |data: usize| OPTION_HEAD + data;
        OPT_LEN
            + self.cookie.map_or(0, |cookie| option(8 + cookie.server.len()))
            + self.subnet.map_or(0, |subnet| option(subnet.data_len()))
            + self.keepalive.map_or(0, |_| option(2))
            + self.nsid.map_or(0, |nsid| option(nsid.len()))
            + self.errors.iter().map(|error| option(2 + error.text.len())).sum::<usize>()
            + self.padding.map_or(0, |_| option(0))
    }

    /// Writes the record at `at`; returns where it ends, or `at` if not even a record without
    /// options fits. Options that do not fit are left out, the less needed first: they are
    /// written in the order of need.
    pub(crate) fn write(&self, out: &mut [u8], at: usize, rcode: Rcode) -> usize {
        let Some(fixed) = out.get_mut(at..at + OPT_LEN) else { return at };
        fixed[0] = 0;
        fixed[1..3].copy_from_slice(&Rtype::OPT.0.to_be_bytes());
        fixed[3..5].copy_from_slice(&self.payload.to_be_bytes());
        fixed[5] = rcode.high();
        fixed[6] = VERSION;
        let flags = if self.do_bit { DO } else { 0 };
        fixed[7..9].copy_from_slice(&flags.to_be_bytes());
        let mut options = Options { out, at: at + OPT_LEN };
        if let Some(cookie) = self.cookie {
            options.put(code::COOKIE, 8 + cookie.server.len(), |data| {
                data[..8].copy_from_slice(&cookie.client);
                data[8..].copy_from_slice(cookie.server);
            });
        }
        if let Some(subnet) = self.subnet {
            options.put(code::CLIENT_SUBNET, subnet.data_len(), |data| subnet.write(data));
        }
        if let Some(idle) = self.keepalive {
            let steps = u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX);
            options.put(code::TCP_KEEPALIVE, 2, |data| data.copy_from_slice(&steps.to_be_bytes()));
        }
        if let Some(nsid) = self.nsid {
            options.put(code::NSID, nsid.len(), |data| data.copy_from_slice(nsid));
        }
        for error in &self.errors {
            options.put(code::EXTENDED_ERROR, 2 + error.text.len(), |data| {
                data[..2].copy_from_slice(&error.code.0.to_be_bytes());
                data[2..].copy_from_slice(error.text.as_bytes());
            });
        }
        if let Some(block) = self.padding {
            options.pad(usize::from(block.max(1)));
        }
        let end = options.at;
        let length = (end - at - OPT_LEN) as u16;
        out[at + 9..at + 11].copy_from_slice(&length.to_be_bytes());
        end
    }
}

/// The place where options go.
struct Options<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl Options<'_> {
    fn put(&mut self, code: u16, length: usize, fill: impl FnOnce(&mut [u8])) {
        let Some(option) = self.out.get_mut(self.at..self.at + OPTION_HEAD + length) else {
            return;
        };
        let (head, data) = option.split_at_mut(OPTION_HEAD);
        head[..2].copy_from_slice(&code.to_be_bytes());
        head[2..].copy_from_slice(&(length as u16).to_be_bytes());
        fill(data);
        self.at += OPTION_HEAD + length;
    }

    /// Pads so that the message, which ends with this option, is a multiple of `block`, or fills
    /// the buffer if it cannot be (RFC 8467 §4.1).
    fn pad(&mut self, block: usize) {
        let bare = self.at + OPTION_HEAD;
        let whole = bare.next_multiple_of(block).min(self.out.len());
        if let Some(length) = whole.checked_sub(bare) {
            self.put(code::PADDING, length, |data| data.fill(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Reply<'static> {
        let mut reply = Reply {
            payload: 1232,
            do_bit: true,
            cookie: Some(Cookie { client: *b"clientck", server: b"0123456789abcdef" }),
            subnet: Some(ClientSubnet::parse_query(b"\x00\x01\x18\x00\xc0\x00\x02").unwrap()),
            keepalive: Some(Duration::from_secs(10)),
            nsid: Some(b"ns1"),
            ..Reply::default()
        };
        reply.errors.push(ExtendedError { code: InfoCode::NOT_READY, text: "soon" });
        reply
    }

    #[test]
    fn the_length_is_known_before() {
        let reply = full();
        let mut out = [0xee; 512];
        assert_eq!(reply.write(&mut out, 100, Rcode::BADVERS), 100 + reply.encoded_len());
        assert_eq!(&out[100..111], b"\x00\x00\x29\x04\xd0\x01\x00\x80\x00\x00\x3e");
        assert_eq!(out[100 + reply.encoded_len()], 0xee);
    }

    #[test]
    fn rfc7828_3_1_keepalive_counts_tenths_of_seconds() {
        let reply = Reply { keepalive: Some(Duration::from_millis(12_345)), ..Reply::default() };
        let mut out = [0; 64];
        let end = reply.write(&mut out, 0, Rcode::NOERROR);
        assert_eq!(&out[OPT_LEN..end], b"\x00\x0b\x00\x02\x00\x7b");
    }

    #[test]
    fn rfc8467_4_1_pads_the_whole_message_to_the_block() {
        let reply = Reply { padding: Some(468), ..full() };
        let mut out = [0xee; 2000];
        assert_eq!(reply.write(&mut out, 100, Rcode::NOERROR), 468);
        assert_eq!(reply.write(&mut out, 460, Rcode::NOERROR), 936);
        // a buffer that ends before the block does is filled
        assert_eq!(reply.write(&mut out[..300], 100, Rcode::NOERROR), 300);
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let reply = full();
        for room in 0..=reply.encoded_len() {
            let mut out = vec![0xee; 20 + room];
            let end = reply.write(&mut out, 20, Rcode::NOERROR);
            assert!(end <= out.len());
            assert_eq!(end == 20, room < OPT_LEN);
            if end > 20 {
                let length = usize::from(u16::from_be_bytes([out[29], out[30]]));
                assert_eq!(end, 20 + OPT_LEN + length);
            }
        }
    }
}
