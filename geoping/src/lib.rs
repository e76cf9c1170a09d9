//! GeoPing: which region answered, and how it is.

pub mod backend;
pub mod check;
pub mod load;
pub mod state;
