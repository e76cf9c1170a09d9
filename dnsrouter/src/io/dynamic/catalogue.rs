//! hickory-server's `Catalog`, which takes an update apart and asks the handler of its zone.
//!
//! There is one handler, at the root, for all zones: which of them may change is a matter of the
//! plan. It hands what is asked to the one task that changes zones ([`super::store`]) and waits for
//! the result. What the catalogue would send is not sent; only its response code counts, and the
//! reply is written as all others are.
//!
//! hickory's own zones (`SqliteZoneHandler`, version 0.26.3) are not used, because in them
//!
//! * deleting all records at the apex takes SOA and NS along, and leaves those elsewhere;
//! * a prerequisite is looked up as a query is: a wildcard makes every name "in use", an alias
//!   gives a name the types of another; and a set of data matches when it has one record of it;
//! * what would break the zone (data below a cut or a DNAME, no NS record) is taken in;
//! * the journal is written before anything is checked, and record by record;
//! * names below a zone that is not ours are changed in the zone above, since the catalogue looks
//!   upwards; without one it says SERVFAIL.
//!
//! Nor is its TSIG: reading a message adds two counts of sixteen bits without a check before
//! anything is verified, a time near 1970 underflows, a name of an algorithm in capitals is
//! unknown, and BADTIME goes without the server's clock.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use dns::name::Name;
use dns::rr::{Class, Rcode};
use dns::update::Message;
use dns::{tsig, wire};
use hickory_server::net::NetError;
use hickory_server::net::runtime::TokioTime;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto;
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{LowerName, Record, RecordType, TSigResponseContext};
use hickory_server::proto::serialize::binary::BinEncoder;
use hickory_server::server::{Request, RequestHandler, RequestInfo, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{
    AuthLookup, AxfrPolicy, Catalog, LookupControlFlow, LookupError, LookupOptions,
    MessageResponse, ZoneHandler, ZoneType,
};
use tokio::sync::{mpsc, oneshot};

/// One update by somebody whose signature is verified.
pub(super) struct Asked {
    /// The zone it is for.
    pub(super) zone: Name,
    /// The key it was signed with.
    pub(super) key: Name,
    /// Its code: no two messages have the same.
    pub(super) mac: Box<[u8]>,
    /// Where it came from.
    pub(super) peer: IpAddr,
    /// What it wants.
    pub(super) message: Message,
    /// For the result.
    pub(super) done: oneshot::Sender<Rcode>,
}

/// The way from octets to [`Asked`] and from its result to a response code.
#[derive(Clone)]
pub(super) struct Catalogue(Arc<Catalog>);

impl Catalogue {
    pub(super) fn new(asked: mpsc::Sender<Asked>) -> Self {
        let root = LowerName::from(proto::rr::Name::root());
        let mut catalog = Catalog::new();
        catalog.upsert(root.clone(), vec![Arc::new(Zones { root, asked })]);
        Self(Arc::new(catalog))
    }

    /// Carries out an update whose signature is verified.
    pub(super) async fn update(&self, bytes: Vec<u8>, peer: SocketAddr) -> Rcode {
        // How it came counts for the reply, which is not the catalogue's.
        let Ok(request) = Request::from_bytes(bytes, peer, Protocol::Tcp) else {
            return Rcode::FORMERR;
        };
        let info = self.0.handle_request::<_, TokioTime>(&request, Unsent).await;
        Rcode(info.response_code.into())
    }
}

/// The handler of every zone.
struct Zones {
    root: LowerName,
    asked: mpsc::Sender<Asked>,
}

impl Zones {
    async fn ask(&self, request: &Request) -> Rcode {
        let (done, result) = oneshot::channel();
        let asked = match asked(request, done) {
            Ok(asked) => asked,
            Err(rcode) => return rcode,
        };
        if self.asked.send(asked).await.is_err() {
            return Rcode::SERVFAIL;
        }
        // Without a result the task that changes zones has ended, or failed.
        result.await.unwrap_or(Rcode::SERVFAIL)
    }
}

/// What a request asks; everything in it is already known to be well-formed but names in data.
fn asked(request: &Request, done: oneshot::Sender<Rcode>) -> Result<Asked, Rcode> {
    let parsed = wire::Request::parse(request.as_slice()).map_err(|_| Rcode::FORMERR)?;
    let signature = tsig::Request::read(&parsed).ok().flatten().ok_or(Rcode::REFUSED)?;
    let question = parsed.question.as_ref().ok_or(Rcode::FORMERR)?;
    if question.qclass != Class::IN {
        return Err(Rcode::NOTAUTH);
    }
    Ok(Asked {
        zone: question.name.to_name(),
        message: Message::read(&parsed).ok_or(Rcode::FORMERR)?,
        mac: signature.mac.into(),
        key: signature.variables.key,
        peer: request.src().ip(),
        done,
    })
}

#[async_trait]
impl ZoneHandler for Zones {
    fn zone_type(&self) -> ZoneType {
        ZoneType::Primary
    }

    fn axfr_policy(&self) -> AxfrPolicy {
        AxfrPolicy::Deny
    }

    async fn update(
        &self,
        request: &Request,
        _now: u64,
    ) -> (Result<bool, ResponseCode>, Option<TSigResponseContext>) {
        let result = match self.ask(request).await {
            Rcode::NOERROR => Ok(true),
            Rcode(code) => Err(code.into()),
        };
        (result, None)
    }

    fn origin(&self) -> &LowerName {
        &self.root
    }

    async fn lookup(
        &self,
        _name: &LowerName,
        _rtype: RecordType,
        _request: Option<&RequestInfo<'_>>,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        refused()
    }

    async fn search(
        &self,
        _request: &Request,
        _options: LookupOptions,
    ) -> (LookupControlFlow<AuthLookup>, Option<TSigResponseContext>) {
        (refused(), None)
    }

    async fn nsec_records(
        &self,
        _name: &LowerName,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        refused()
    }
}

/// Queries are answered by [`crate::answer`], whoever signed them.
fn refused() -> LookupControlFlow<AuthLookup> {
    LookupControlFlow::Break(Err(LookupError::ResponseCode(ResponseCode::Refused)))
}

/// Where the catalogue's replies go: nowhere.
#[derive(Clone)]
struct Unsent;

#[async_trait]
impl ResponseHandler for Unsent {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut octets = Vec::new();
        Ok(response.destructive_emit(&mut BinEncoder::new(&mut octets))?)
    }
}
