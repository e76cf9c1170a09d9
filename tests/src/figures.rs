//! Figures that a test measured, shown also when it passes: cargo keeps back what a passing test
//! prints, and a bound that is only just kept is worth seeing.

use std::io::Write;

/// Shows a line of figures on standard error.
pub fn show(line: &str) {
    // Not a print macro, which the test harness would capture. Nobody to read it is no failure.
    let _ = writeln!(std::io::stderr(), "    {line}");
}
