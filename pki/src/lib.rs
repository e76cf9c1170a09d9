//! A private certificate authority, and the identities in its certificates.
//!
//! Every connection between our programs is mutually authenticated. What a certificate is worth
//! is decided in two steps that never mix: the *handshake* (crate `daemon`) asks whether our
//! authority signed it, whether it is in date and not revoked; the *identity* (here) says whom
//! it names. No host name takes part.
//!
//! | you have | you want | use |
//! |---|---|---|
//! | a peer's certificate | who it is | [`Identity::of_certificate`] |
//! | a name in a configuration | whom to trust | [`TrustDomain`], [`Identity`] |
//! | a revocation list | whether it is genuine, and how fresh | [`crl`] |
//! | nothing yet | an authority in memory | [`authority`] |
//! | a folder | an authority that lasts | [`folder`] |
//!
//! ```text
//!             trust domain (one authority, one CRL)
//!                      │ signs
//!      ┌───────────────┼────────────────┐
//!   a node           a person         a member
//!   /region/R/P/N    /user/NAME       /member/ID        one URI SAN each, 24 hours each
//! ```

pub mod authority;
pub mod crl;
pub mod folder;
pub mod identity;
pub mod index;
pub mod serial;
mod whole_file;

pub use authority::{Authority, AuthorityError, Extra, Issued, Reason, Validity};
pub use folder::{Folder, FolderError};
pub use identity::{Identity, IdentityError, Program, Role, TrustDomain, validity_of};
pub use serial::Serial;
