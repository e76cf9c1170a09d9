//! GeoPing: which region answered, and how it is. As a library to embed in a service, and as the
//! program `geoping` to run beside one.
//!
//! ```text
//!                          ┌────────────── geoping, one per region ──────────────┐
//!  geoip ping ──mTLS──▶    │  Status ─▶ Service ◀── Condition ◀── Machine ◀─ check ──▶ the backend
//!  dnsrouter  ──mTLS──▶    │              ▲  ▲                                    │  (grpc, tcp, http)
//!                          │       Load ──┘  └── places, capacity, drain          │
//!                          └──────────────────────────────────────────────────────┘
//! ```
//!
//! | you have | you want | use |
//! |---|---|---|
//! | a tonic server of your own | that it answers `Status` | [`Service::builder`], [`Service::into_server`] |
//! | a service that knows how it is | that `Status` says so | a `watch` of [`backend::Condition`] |
//! | a service in another process | the same | [`io::backend::follow`] |
//! | a tonic server of your own | its requests, in flight and per second, in the reply | [`Load::layer`] |
//! | a service that counts its requests itself | their rate in the reply | [`io::requests::follow`] |
//! | a machine without such a server | the whole program | the binary `geoping`, [`config`] |
//!
//! # Embedding
//!
//! ```
//! use geoping::Service;
//! use geoping::backend::Condition;
//! use tokio::sync::watch;
//! use tonic::transport::Server;
//!
//! # async fn run(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! // The service's own knowledge of itself; leave it out to be always OK.
//! let (health, condition) = watch::channel(Condition::ok());
//! let geoping = Service::builder("us-central1", env!("CARGO_PKG_VERSION"))
//!     .node("us-central1-a")
//!     .backend(condition)
//!     .build()?;
//!
//! let server = Server::builder()
//!     .layer(geoping.load().layer())
//!     // .add_service(your own service)
//!     .add_service(geoping.clone().into_server())
//!     .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
//!
//! health.send_replace(Condition::degraded("the cache is cold"));
//! assert_eq!(geoping.state().word(), "DEGRADED");
//! geoping.drain();                       // before leaving: callers are asked to go elsewhere
//! # drop(server); Ok(()) }
//! # fn main() {}
//! ```
//!
//! The reply names the caller by the [`daemon::tls::Peer`] that the server puts into a request's
//! extensions; in a server that does not, callers have an address and no identity.
//!
//! # Modules
//!
//! | pure | | shells | |
//! |---|---|---|---|
//! | [`backend`] | condition of the backend from findings | [`io::backend`] | asks it |
//! | [`check`] | what to ask and what answers mean | [`io::health`] | tells `grpc.health.v1` |
//! | [`state`] | the word callers read | [`io::cpu`] | samples `/proc/stat` |
//! | [`counter`] | the service's own count of its requests | [`io::requests`] | reads it |
//! | [`load`], [`rate`] | requests in flight and per second, processors in use | [`io::certificate`] | is it in date |
//! | [`caller`] | who a caller seems to be | [`io::reload`] | reads the configuration again |
//! | [`pings`] | names of metrics, bounded labels | [`io::program`] | binds, runs, leaves in order |
//! | [`config`] | `geoping.toml`, checked | [`service`] | the tonic service |

pub mod backend;
pub mod caller;
pub mod check;
pub mod config;
pub mod counter;
pub mod io;
pub mod load;
pub mod pings;
pub mod rate;
pub mod service;
pub mod state;

pub use load::Load;
pub use service::{BuildError, Builder, Service};
pub use state::State;
