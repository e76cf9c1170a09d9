//! The address space as two tables cut it, together.
//!
//! ```text
//!   one table    |      A      |  B  |         leaves are prefixes, so of two that meet one holds
//!   another      |  c  |  d    |  e  |         the other
//!   pieces       |  Ac |  Ad   |  Be |
//! ```

use geo::{PlaceId, Source, Table};
use ipnet::IpNet;

/// A part of a leaf of the first table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) prefix: IpNet,
    /// The leaf that it is a part of.
    pub(super) leaf: IpNet,
    /// Who places that leaf.
    pub(super) source: Source,
    /// In the first table and in the second.
    pub(super) places: [PlaceId; 2],
}

/// All pieces in order, IPv4 first.
pub(super) fn pieces<'t>(
    first: &'t Table,
    second: &'t Table,
) -> Box<dyn Iterator<Item = Piece> + 't> {
    if std::ptr::eq(first, second) {
        return Box::new(first.leaves().map(|(prefix, place, source)| Piece {
            prefix,
            leaf: prefix,
            source,
            places: [place; 2],
        }));
    }
    let (mut ones, mut others) = (first.leaves(), second.leaves());
    let (mut one, mut other) = (ones.next(), others.next());
    Box::new(std::iter::from_fn(move || {
        let (leaf, place, source) = one?;
        let (beside, second_place, _) = other?;
        let prefix = if leaf.prefix_len() >= beside.prefix_len() { leaf } else { beside };
        let end = prefix.broadcast();
        if leaf.broadcast() == end {
            one = ones.next();
        }
        if beside.broadcast() == end {
            other = others.next();
        }
        Some(Piece { prefix, leaf, source, places: [place, second_place] })
    }))
}

#[cfg(test)]
mod tests {
    use geo::{Place, Point, ScopeCap, TableBuilder};

    use super::*;

    fn table(networks: &[(&str, f64)]) -> Table {
        let mut builder = TableBuilder::new(ScopeCap::default());
        for (network, latitude) in networks {
            let place = Place::from(Point::new(*latitude, 1.0).unwrap());
            builder.network(network.parse().unwrap(), place).unwrap();
        }
        builder.freeze()
    }

    #[test]
    fn every_address_is_in_one_piece_with_the_place_of_both() {
        let one = table(&[("198.51.100.0/22", 1.0), ("2001:db8::/32", 2.0)]);
        let other = table(&[
            ("198.51.101.0/24", 3.0),
            ("198.51.0.0/16", 4.0),
            ("2001:db8:7::/48", 5.0),
            ("2001::/16", 6.0),
        ]);
        let mut behind: Option<std::net::IpAddr> = None;
        for piece in pieces(&one, &other) {
            let first = piece.prefix.network();
            for address in [first, piece.prefix.broadcast()] {
                let found = [&one, &other].map(|table| table.lookup_subnet(address).place);
                assert_eq!(piece.places, found, "{piece:?}");
                assert!(piece.leaf.contains(&address));
            }
            match behind {
                Some(last) => assert_eq!(first, last, "no gap, no overlap"),
                None => assert_eq!(first.to_string(), "0.0.0.0"),
            }
            behind = match piece.prefix {
                IpNet::V4(v4) if v4.broadcast().to_bits() == u32::MAX => {
                    Some("::".parse().unwrap())
                }
                IpNet::V4(v4) => {
                    Some(std::net::Ipv4Addr::from_bits(v4.broadcast().to_bits() + 1).into())
                }
                IpNet::V6(v6) if v6.broadcast().to_bits() == u128::MAX => None,
                IpNet::V6(v6) => {
                    Some(std::net::Ipv6Addr::from_bits(v6.broadcast().to_bits() + 1).into())
                }
            };
        }
        assert_eq!(behind, None, "to the last address");
        let of = |table| {
            pieces(table, table).map(|piece| (piece.prefix, piece.places[0])).collect::<Vec<_>>()
        };
        assert_eq!(
            of(&one),
            one.leaves().map(|(prefix, place, _)| (prefix, place)).collect::<Vec<_>>()
        );
    }
}
