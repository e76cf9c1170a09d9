//! Hickory's own client, which signs updates and verifies the signatures of replies.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use hickory_net::client::{Client, ClientHandle};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::DnsMultiplexer;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{Name, RData, Record, TSigner};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a signature counts, in seconds.
const FUDGE: u16 = 300;

/// An update client, over UDP or TCP.
pub(crate) struct Hickory(Client<TokioRuntimeProvider>);

impl Hickory {
    pub(crate) async fn connect(server: SocketAddr, tcp: bool, key: &str, secret: &[u8]) -> Self {
        let name = Name::from_str(key).expect("a key's name");
        let signer = TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, name, FUDGE);
        let signer = signer.expect("an algorithm of hickory's");
        let provider = TokioRuntimeProvider::new();
        let client = if tcp {
            let (connecting, sender) = TcpClientStream::new(server, None, Some(TIMEOUT), provider);
            let stream = connecting.await.expect("the name server takes connections");
            let exchange = DnsMultiplexer::new(stream, sender).with_signer(signer);
            let (client, background) = Client::from_sender(exchange);
            tokio::spawn(background);
            client
        } else {
            let stream = UdpClientStream::builder(server, provider);
            let stream = stream.with_timeout(Some(TIMEOUT)).with_signer(Some(signer)).build();
            let (client, background) = Client::from_sender(stream);
            tokio::spawn(background);
            client
        };
        Self(client)
    }

    /// Adds a TXT record, which may not be there before.
    pub(crate) async fn create(&mut self, name: &str, text: &str) -> Result<ResponseCode, String> {
        let name = Name::from_str(name).expect("a name");
        let record = Record::from_rdata(name, 60, RData::TXT(TXT::new(vec![text.to_owned()])));
        let reply = self.0.create(record, zone()).await;
        reply.map(|reply| reply.response_code).map_err(|error| error.to_string())
    }

    /// Deletes everything at a name.
    pub(crate) async fn delete(&mut self, name: &str) -> Result<ResponseCode, String> {
        let name = Name::from_str(name).expect("a name");
        let record = Record::from_rdata(name.clone(), 0, RData::A(A::new(192, 0, 2, 1)));
        let reply = self.0.delete_all(record.name, zone(), record.dns_class).await;
        reply.map(|reply| reply.response_code).map_err(|error| error.to_string())
    }
}

fn zone() -> Name {
    Name::from_str("dyn.example.").expect("a name")
}
