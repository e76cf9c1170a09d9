//! Laid out; filled by its first commit.
