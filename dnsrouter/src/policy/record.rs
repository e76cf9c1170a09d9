//! Records of endpoints, ready to be written.

use std::fmt;
use std::net::IpAddr;

use crate::service::{self, Endpoint, Form};
use crate::target::Watched;
use crate::verdicts::TargetId;

/// One record of an endpoint, ready to be written.
#[derive(Debug, Clone)]
pub struct Record {
    data: Data,
    /// Whose state is its health; none: never probed, always up.
    pub target: Option<TargetId>,
}

#[derive(Debug, Clone)]
enum Data {
    V4([u8; 4]),
    V6([u8; 16]),
    Other { rdata: Box<[u8]>, text: Box<str> },
}

impl Record {
    pub(super) fn address(ip: IpAddr, target: Option<TargetId>) -> Self {
        let data = match ip {
            IpAddr::V4(v4) => Data::V4(v4.octets()),
            IpAddr::V6(v6) => Data::V6(v6.octets()),
        };
        Self { data, target }
    }

    /// Its RDATA, names uncompressed.
    pub fn rdata(&self) -> &[u8] {
        match &self.data {
            Data::V4(octets) => octets,
            Data::V6(octets) => octets,
            Data::Other { rdata, .. } => rdata,
        }
    }
}

/// In presentation form.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::V4(octets) => IpAddr::from(*octets).fmt(f),
            Data::V6(octets) => IpAddr::from(*octets).fmt(f),
            Data::Other { text, .. } => f.write_str(text),
        }
    }
}

/// All that an endpoint can be given out as in one form.
pub(super) fn compile(
    endpoint: &Endpoint,
    form: Form,
    target: &mut impl FnMut(&Watched) -> TargetId,
) -> Box<[Record]> {
    let mut addresses = |v4: bool| -> Box<[Record]> {
        let of_family = endpoint.addresses.iter().filter(|ip| ip.is_ipv4() == v4);
        of_family
            .map(|ip| Record::address(*ip, endpoint.watched_by(*ip).map(|w| target(&w))))
            .collect()
    };
    match form {
        Form::A => addresses(true),
        Form::Aaaa => addresses(false),
        _ => {
            let of_form = endpoint.records.iter().filter(|record| record.form == form);
            let record = |record: &service::Record| Record {
                data: Data::Other { rdata: record.rdata.clone(), text: record.text.clone().into() },
                target: endpoint.watched().map(|w| target(&w)),
            };
            of_form.map(record).collect()
        }
    }
}
