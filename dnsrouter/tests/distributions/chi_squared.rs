//! Pearson's test of goodness of fit.

/// The level: of a million sound tests one fails.
const ALPHA: f64 = 1e-6;

/// How probable it is that counts are as far from what is expected as these are, or farther. Shares are
/// relative; of what has none, nothing may be counted.
pub(crate) fn fit(counts: &[u64], shares: &[f64]) -> f64 {
    let (all, whole) = (counts.iter().sum::<u64>() as f64, shares.iter().sum::<f64>());
    let mut statistic = 0.0;
    let mut classes: u32 = 0;
    for (count, share) in counts.iter().zip(shares) {
        let expected = all * share / whole;
        if expected == 0.0 {
            assert_eq!(*count, 0, "{counts:?} of {shares:?}");
            continue;
        }
        assert!(expected > 100.0, "too few for the test: {expected}");
        statistic += (*count as f64 - expected).powi(2) / expected;
        classes += 1;
    }
    beyond(statistic, classes - 1)
}

/// The same of one class: it or not it.
pub(crate) fn fit_one(count: u64, of: u64, share: f64) -> f64 {
    fit(&[count, of - count], &[share, 1.0 - share])
}

/// Says how well counts fit, and fails where they do not.
pub(crate) fn assert_fits(name: &str, counts: &[u64], shares: &[f64]) {
    let p = fit(counts, shares);
    println!("{name}: p = {p:.3} of {} clients", counts.iter().sum::<u64>());
    assert!(p >= ALPHA, "{name}: p = {p:e}, {counts:?} for {shares:?}");
}

/// A test that could not fail would be none.
pub(crate) fn assert_notices(name: &str, counts: &[u64], shares: &[f64]) {
    let p = fit(counts, shares);
    assert!(p < ALPHA, "{name}: 5 % too much is not noticed, p = {p}: {counts:?} for {shares:?}");
}

/// The share of the χ² distribution beyond `x`: one less the lower incomplete gamma function by its
/// series (Abramowitz and Stegun 6.5.29).
fn beyond(x: f64, degrees: u32) -> f64 {
    let (a, y) = (f64::from(degrees) / 2.0, x / 2.0);
    let (mut term, mut sum, mut n) = (1.0, 1.0, 0.0);
    while term > sum * 1e-17 {
        n += 1.0;
        term *= y / (a + n);
        sum += term;
    }
    (1.0 - (a * y.ln() - y - ln_gamma_of_half(degrees + 2)).exp() * sum).max(0.0)
}

/// ln Γ(n/2), up from Γ(1/2) = √π and Γ(1) = 1.
fn ln_gamma_of_half(n: u32) -> f64 {
    let first = 2 - n % 2;
    let start = if first == 1 { std::f64::consts::PI.sqrt().ln() } else { 0.0 };
    (first..n).step_by(2).map(|k| (f64::from(k) / 2.0).ln()).sum::<f64>() + start
}

#[test]
fn quantiles_are_those_of_the_tables() {
    for (x, degrees, p) in [
        (3.841_459, 1, 0.05),
        (23.928_127, 1, 1e-6),
        (27.631_021, 2, 1e-6),
        (18.307_038, 10, 0.05),
        (31.264_134, 11, 0.001),
        (124.342_113, 100, 0.05),
    ] {
        let got = beyond(x, degrees);
        assert!((got / p - 1.0).abs() < 1e-4, "χ²({degrees}) beyond {x}: {got:e}, not {p:e}");
    }
}
