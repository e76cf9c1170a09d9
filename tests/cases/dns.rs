//! Replays `dns/*.case`: questions and the answers that the RFCs give, put to our name server, to
//! Knot and to NSD. `dns/README.md` says how cases are written.

use std::collections::BTreeMap;

use tests::conformance::expect::Product;
use tests::conformance::file::{self, CaseFile};
use tests::conformance::replay::{Outcome, replay};
use tests::conformance::server;
use tests::figures;
use tests::scratch::Scratch;

/// Cases in all, as few as would still prove something.
const LEAST: usize = 600;

/// Cases of each of the topics that servers get wrong most.
const LEAST_OF: [(&str, usize); 4] =
    [("wildcards", 60), ("dname", 60), ("delegations", 60), ("edns", 60)];

/// Failures that are shown of each server; the first ones say what is wrong.
const SHOWN: usize = 20;

#[test]
fn dnsrouter_answers_as_the_rfcs_say() {
    put_to(Product::Dnsrouter);
}

#[test]
fn knot_differs_only_where_the_cases_say_why() {
    put_to(Product::Knot);
}

#[test]
fn nsd_differs_only_where_the_cases_say_why() {
    put_to(Product::Nsd);
}

#[test]
fn there_are_as_many_cases_as_were_promised() {
    let files = file::load(&server::folder());
    let count = |of: &str| -> usize {
        let of = files.iter().filter(|file| file.stem.starts_with(of));
        of.map(|file| file.cases.len()).sum()
    };
    let all = count("");
    figures::show(&format!("{all} cases in {} files", files.len()));
    assert!(all >= LEAST, "{all} cases, at least {LEAST} are wanted");
    for (topic, least) in LEAST_OF {
        let cases = count(topic);
        assert!(cases >= least, "{cases} cases of {topic}, at least {least} are wanted");
    }
}

#[test]
fn every_reason_is_given_by_a_case() {
    let files = file::load(&server::folder());
    let unused: Vec<&str> =
        files.iter().flat_map(|file| &file.unused).map(String::as_str).collect();
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

/// Starts servers of all files, puts all cases to them, and shows the figures.
fn put_to(product: Product) {
    let files = file::load(&server::folder());
    let scratch = Scratch::new("conformance");
    let mut outcomes = BTreeMap::new();
    for (number, group) in server::groups(&files).iter().enumerate() {
        let asked =
            |file: &&CaseFile| file.cases.iter().any(|case| file.skips(product, case).is_none());
        if !group.iter().any(asked) {
            outcomes.extend(group.iter().map(|file| (&file.stem, all_skipped(file))));
            continue;
        }
        let mut running = server::start(product, group, &scratch, &format!("group-{number}"));
        for file in group {
            outcomes.insert(&file.stem, replay(file, &mut running));
        }
    }
    let mut failures = Vec::new();
    for (stem, outcome) in &outcomes {
        let Outcome { asked, explained, skipped, failures: wrong } = outcome;
        figures::show(&format!(
            "{:<9} {stem:<14} {asked:>4} asked, {explained:>3} differ and say why, \
             {skipped:>3} skipped and say why, {} wrong",
            product.name(),
            wrong.len()
        ));
        failures.extend(wrong);
    }
    let first: Vec<&str> = failures.iter().take(SHOWN).map(|text| text.as_str()).collect();
    assert!(
        failures.is_empty(),
        "{}: {} wrong, the first of them:\n\n{}",
        product.name(),
        failures.len(),
        first.join("\n")
    );
}

fn all_skipped(file: &CaseFile) -> Outcome {
    Outcome { skipped: file.cases.len(), ..Outcome::default() }
}
