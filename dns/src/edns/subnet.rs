//! The client subnet option (RFC 7871).
//!
//! ```text
//!   FAMILY (2) │ SOURCE PREFIX-LENGTH (1) │ SCOPE PREFIX-LENGTH (1) │ ADDRESS (as short as it goes)
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A client subnet as a query carried it: family, source and address go back identical
/// (§7.2.1), only the scope is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSubnet {
    family: u16,
    source: u8,
    scope: u8,
    /// Zero past the prefix: the parser made sure of it.
    address: [u8; 16],
}

/// What is malformed about the option (§6). The client is to blame, and gets FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// Fewer than the four octets of the fixed part.
    #[error("client subnet of {0} octets")]
    Short(usize),
    /// Not 0 (with an empty prefix), 1 or 2.
    #[error("client subnet of unknown family {0}")]
    Family(u16),
    /// Over 32 for IPv4, over 128 for IPv6, over 0 for family 0.
    #[error("client subnet prefix /{0} is too long for its family")]
    Prefix(u8),
    /// Not zero in a query.
    #[error("client subnet scope /{0} in a query")]
    Scope(u8),
    /// Not exactly the octets that hold the prefix.
    #[error("client subnet address of {got} octets where the prefix takes {want}")]
    Length {
        /// Octets after the fixed part.
        got: usize,
        /// ⌈prefix ÷ 8⌉.
        want: usize,
    },
    /// A bit past the prefix is set.
    #[error("client subnet address has bits set past its prefix")]
    HostBits,
}

impl ClientSubnet {
    /// Octets before the address.
    const FIXED: usize = 4;

    /// Reads the option of a query.
    pub fn parse_query(data: &[u8]) -> Result<Self, SubnetError> {
        let (fixed, address) =
            data.split_first_chunk::<{ Self::FIXED }>().ok_or(SubnetError::Short(data.len()))?;
        let [family_high, family_low, source, scope] = *fixed;
        let family = u16::from_be_bytes([family_high, family_low]);
        let longest = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(SubnetError::Family(family)),
        };
        if source > longest {
            return Err(SubnetError::Prefix(source));
        }
        if scope != 0 && !mutated!(SubnetScopeIsTaken) {
            return Err(SubnetError::Scope(scope));
        }
        let want = usize::from(source).div_ceil(8);
        if address.len() != want {
            return Err(SubnetError::Length { got: address.len(), want });
        }
        if let (Some(last), spare @ 1..) = (address.last(), (want * 8) as u8 - source)
            && last.trailing_zeros() < u32::from(spare)
            && !mutated!(SubnetHostBitsAreTaken)
        {
            return Err(SubnetError::HostBits);
        }
        let mut full = [0; 16];
        full[..want].copy_from_slice(address);
        Ok(ClientSubnet { family, source, scope: 0, address: full })
    }

    /// The subnet's first address, or none if the client does not want its address used: family 0
    /// or SOURCE PREFIX-LENGTH 0 (§7.1.2). IPv4-mapped IPv6 is left as it is.
    pub fn to_ip(&self) -> Option<IpAddr> {
        match (self.family, self.source) {
            (_, 0) | (0, _) => None,
            (1, _) => {
                let [a, b, c, d, ..] = self.address;
                Some(Ipv4Addr::new(a, b, c, d).into())
            }
            _ => Some(Ipv6Addr::from(self.address).into()),
        }
    }

    /// Address family: 1 IPv4, 2 IPv6, 0 none.
    pub fn family(&self) -> u16 {
        self.family
    }

    /// SOURCE PREFIX-LENGTH: how many bits of the address the client gave.
    pub fn source(&self) -> u8 {
        self.source
    }

    /// SCOPE PREFIX-LENGTH: 0 in a query, what [`with_scope`](Self::with_scope) said in a reply.
    pub fn scope(&self) -> u8 {
        self.scope
    }

    /// The same option for a reply. A source of /0 always gets scope 0 (§7.2.1), and a scope past
    /// the family's length is cut to it.
    #[must_use]
    pub fn with_scope(self, scope: u8) -> Self {
        let longest = match (self.family, self.source) {
            (_, 0) | (0, _) => 0,
            (1, _) => 32,
            _ => 128,
        };
        ClientSubnet { scope: scope.min(longest), ..self }
    }

    /// Octets of the option's data.
    pub(super) fn data_len(&self) -> usize {
        Self::FIXED + usize::from(self.source).div_ceil(8)
    }

    /// The option's data; `out` has exactly [`data_len`](Self::data_len) octets.
    pub(super) fn write(&self, out: &mut [u8]) {
        let (fixed, address) = out.split_at_mut(Self::FIXED);
        let [high, low] = self.family.to_be_bytes();
        fixed.copy_from_slice(&[high, low, self.source, self.scope]);
        address.copy_from_slice(&self.address[..address.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7871_6_malformations_are_told_apart() {
        for (data, error) in [
            (&b""[..], SubnetError::Short(0)),
            (b"\x00\x01\x18", SubnetError::Short(3)),
            (b"\x00\x03\x00\x00", SubnetError::Family(3)),
            (b"\x00\x01\x21\x00\xc0\x00\x02\x01\x01", SubnetError::Prefix(33)),
            (b"\x00\x02\x81\x00", SubnetError::Prefix(129)),
            (b"\x00\x00\x01\x00\x80", SubnetError::Prefix(1)),
            (b"\x00\x01\x18\x18\xc0\x00\x02", SubnetError::Scope(24)),
            (b"\x00\x01\x18\x00\xc0\x00", SubnetError::Length { got: 2, want: 3 }),
            (b"\x00\x01\x18\x00\xc0\x00\x02\x00", SubnetError::Length { got: 4, want: 3 }),
            (b"\x00\x01\x00\x00\x00", SubnetError::Length { got: 1, want: 0 }),
            (b"\x00\x00\x00\x00\x00", SubnetError::Length { got: 1, want: 0 }),
            (b"\x00\x01\x17\x00\xc0\x00\x03", SubnetError::HostBits),
            (b"\x00\x01\x01\x00\x40", SubnetError::HostBits),
        ] {
            assert_eq!(ClientSubnet::parse_query(data), Err(error), "{data:02x?}");
        }
    }

    #[test]
    fn rfc7871_7_2_1_echo_is_identical_but_for_the_scope() {
        for data in [
            &b"\x00\x01\x18\x00\xc0\x00\x02"[..],
            b"\x00\x01\x20\x00\xc0\x00\x02\x01",
            b"\x00\x01\x17\x00\xc0\x00\x02",
            b"\x00\x02\x38\x00\x20\x01\x0d\xb8\x00\x00\x01",
            b"\x00\x01\x00\x00",
            b"\x00\x02\x00\x00",
            b"\x00\x00\x00\x00",
        ] {
            let subnet = ClientSubnet::parse_query(data).unwrap();
            let mut out = vec![0xee; subnet.data_len()];
            subnet.with_scope(20).write(&mut out);
            let mut expected = data.to_vec();
            expected[3] = if data[2] == 0 { 0 } else { 20 };
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn rfc7871_7_1_2_source_zero_gives_no_address() {
        let parse = |data| ClientSubnet::parse_query(data).unwrap().to_ip();
        assert_eq!(parse(b"\x00\x01\x00\x00"), None);
        assert_eq!(parse(b"\x00\x00\x00\x00"), None);
        assert_eq!(parse(b"\x00\x01\x08\x00\x0a"), Some("10.0.0.0".parse().unwrap()));
        assert_eq!(parse(b"\x00\x02\x20\x00\x20\x01\x0d\xb8"), Some("2001:db8::".parse().unwrap()));
    }
}
