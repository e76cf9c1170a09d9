//! One file per command: its arguments, their validation, what it does.

pub(crate) mod completions;
pub(crate) mod context;
pub(crate) mod dev;
pub(crate) mod dig;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod explain;
pub(crate) mod force;
pub(crate) mod import;
pub(crate) mod overrides;
pub(crate) mod ping;
pub(crate) mod pki;
pub(crate) mod status;
pub(crate) mod zone;
