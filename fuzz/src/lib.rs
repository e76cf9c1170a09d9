//! What the fuzz targets share: a server in this process, and judges that share no code with it.
//!
//! ```text
//!  libFuzzer ─bytes─▶ targets/answer ─────────────────▶ World::ask ──▶ answer()   UDP and TCP
//!                     targets/edns ── Question + OPTs ─▶     │
//!                          │                                 ▼
//!                          └──── opt::judge ──────────▶ reply::check  (hickory reads the replies)
//!                     targets/zonefile ───────────────▶ zonefile::parse, Zones::freeze, resolve
//! ```
//!
//! | to know | look at |
//! |---|---|
//! | what is served | [`world`], and the files in `world/` |
//! | what must hold for every reply | [`reply`] |
//! | what an OPT record must lead to | [`opt`] |

pub mod opt;
pub mod reply;
pub mod world;
