//! What a forecast says against what clients are really answered.

#![expect(clippy::disallowed_methods, reason = "a test writes the files that it has read")]

mod alone;
mod another;
mod world;
