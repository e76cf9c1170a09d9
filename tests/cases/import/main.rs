//! Configurations of other products, written from their documentation: imported, loaded into a real
//! dnsrouter, and asked about as their documents say they answer. A real gdnsd is asked the same.
//!
//! | to find | look into |
//! |---|---|
//! | what a product is configured with | `gdnsd/`, `route53/`, `geodns/` |
//! | what its documents say it answers, with the section | `*/expect.toml`; `case` says what each key means |
//! | what of an import is larger or stranger than dnsrouter takes | `limits` |
//! | where clients are in these tests | `tests::mmdb`: a database of the expectations' places |
#![expect(
    clippy::disallowed_methods,
    reason = "reads the cases, starts servers and waits for them"
)]

mod asking;
mod case;
mod limits;
mod servers;

use case::Case;
use servers::{Router, gdnsd, import};
use tests::scratch::Scratch;

#[test]
fn gdnsd_as_its_manual_pages_say() {
    let case = Case::read("gdnsd");
    let scratch = Scratch::new("import-gdnsd");
    let imported = import(&case, &scratch);
    let ours = Router::start(&case, &imported, &scratch);
    asking::all(&case, ours.dns(), |ask| &ask.answer);
    let theirs = gdnsd(&case, &scratch);
    asking::all(&case, theirs.dns(), |ask| ask.theirs.as_ref().unwrap_or(&ask.answer));
}

#[test]
fn route53_as_its_developer_guide_says() {
    let case = Case::read("route53");
    let scratch = Scratch::new("import-route53");
    let ours = Router::start(&case, &import(&case, &scratch), &scratch);
    asking::all(&case, ours.dns(), |ask| &ask.answer);
}

#[test]
fn geodns_as_its_readme_says() {
    let case = Case::read("geodns");
    let scratch = Scratch::new("import-geodns");
    let ours = Router::start(&case, &import(&case, &scratch), &scratch);
    asking::all(&case, ours.dns(), |ask| &ask.answer);
}
