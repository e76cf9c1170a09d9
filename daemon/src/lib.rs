//! What every program shares: the shell around a core.
//!
//! A program decides in its own crate and does here: it reads one configuration, proves who it
//! is, lets the right callers in, tells how it is, survives a panic, and leaves in order.
//!
//! | you want to | use |
//! |---|---|
//! | read a configuration, point at what is wrong in it | [`config`] |
//! | read a file that people name | [`files`] |
//! | show text that others wrote | [`terminal`] |
//! | place addresses and regions as configured | [`places`] |
//! | have enough file descriptors | [`descriptors`] |
//! | say how long something has run | [`uptime`] |
//! | tell the launcher that one serves | [`ready`] |
//! | log and count | [`telemetry`] |
//! | know when to stop | [`shutdown`] |
//! | run tasks that must not die quietly | [`supervise`] |
//! | hold this node's certificate, trust others | [`tls`], [`renewal`] |
//! | serve or call gRPC over mutual TLS | [`grpc`] |
//! | ask a server that is not ours whether it is up | [`https`], [`dial`] |
//! | answer `/metrics`, `/livez`, `/readyz` | [`admin`] |
//! | notice that a file changed | [`reload`] |
//! | log what strangers can cause, without a flood | [`quiet`] |
//!
//! ```text
//!  config ──▶ telemetry ──▶ tls ──▶ core ──▶ grpc ┐
//!                            ▲               admin├─ supervise ──▶ shutdown: drain, then leave
//!  reload (SIGHUP, files) ───┴──▶ core       …    ┘
//!  renewal (a command) ──────┘
//! ```

pub mod admin;
mod bounded;
pub mod config;
pub mod descriptors;
pub mod dial;
pub mod grpc;
pub mod https;
pub mod places;
pub mod quiet;
pub mod ready;
pub mod reload;
pub mod renewal;
pub mod shutdown;
pub mod supervise;
pub mod telemetry;
pub mod terminal;
pub mod tls;
pub mod uptime;

pub use files;
