//! `bench/RESULTS.md`: what was measured, with what, on which machine.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use crate::contender::Product;
use crate::machine::Machine;
use crate::report;
use crate::rounds::{Outcome, Plan};

/// The whole text, with more sections at its end.
pub fn text(
    outcomes: &[Outcome],
    more: &[String],
    plan: Plan,
    machine: &Machine,
    command: &str,
) -> String {
    let mut products: Vec<Product> =
        outcomes.iter().flat_map(|outcome| outcome.scene.who()).map(|who| who.product).collect();
    products.sort_unstable();
    products.dedup();
    let versions: String = products
        .iter()
        .filter(|product| **product == Product::Dnsrouter || !product.is_ours())
        .filter(|product| **product != Product::Echo)
        .map(|product| format!("- {product}: {}\n", product.version()))
        .collect();
    let mut text = format!(
        "# Results\n\n\
         Written by `{command}`. Each server had one core and one thread for UDP unless it says \
         otherwise, the generator the other core; every answer was checked. Memory is the proportional \
         set size. Absolute figures wander with the machine: read the \
         ratios. A round is disturbed when others used more than {:.0} % of both cores meanwhile. \
         Where the time goes, and why lines are missed, is in [PROFILE.md](PROFILE.md).\n\n\
         - machine: {machine} before\n- repository: {}\n{versions}\n{}\n",
        100.0 * crate::rounds::DISTURBED,
        revision(),
        report::goals(outcomes),
    );
    for outcome in outcomes {
        text.push_str(&report::scene(outcome, plan));
        text.push_str(&format!("\n{}\n", report::starts(outcome)));
    }
    more.iter().for_each(|section| text.extend([section, "\n"]));
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Replaces the file by this text.
///
/// # Errors
///
/// Those of the system.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    fs::write(file, text)
}

/// Which commit this is, and whether more than that was built.
fn revision() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let said = described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.ok().filter(|said| !said.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
