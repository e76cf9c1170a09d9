//! Overrides in Prometheus' text form.

use std::fmt::Write;
use std::time::SystemTime;

use super::{Kind, Override, Overrides, Progress};
use crate::monitor::{escape, unix_ms};

impl Overrides {
    /// Those that have not ended: one that was lifted has no rows.
    pub fn render(&self, now: SystemTime) -> String {
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, row: fn(&Override, SystemTime) -> Option<f64>| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for one in self.iter().filter(|one| !one.is_over(now)) {
                let Some(value) = row(one, now) else { continue };
                let (subject, order) = (escape(&one.subject.to_string()), one.order.word());
                let _ = writeln!(text, "{name}{{subject=\"{subject}\",order=\"{order}\"}} {value}");
            }
        };
        gauge(
            "dnsrouter_override_in_force",
            "Whether an override counts; 0 while it is announced",
            |one, now| {
                let begun = !matches!(one.progress(now), Progress::Announced(_));
                Some(f64::from(u8::from(begun)))
            },
        );
        gauge(
            "dnsrouter_drain_gone_ratio",
            "Share of clients that a drain has sent elsewhere",
            |one, now| match (one.order.kind(), one.progress(now)) {
                (Kind::Force, _) => None,
                (Kind::Drain, Progress::Announced(_)) => Some(0.0),
                (Kind::Drain, Progress::Gone(gone)) => Some(f64::from(gone) / f64::from(u16::MAX)),
            },
        );
        gauge(
            "dnsrouter_override_end_timestamp_seconds",
            "When an override ends by itself",
            |one, _| one.until.map(|until| unix_ms(until) as f64 / 1000.0),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::overrides::{Order, Subject};

    #[test]
    fn each_has_rows_while_it_has_not_ended() {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let one = |region: &str, order, until| Override {
            subject: Subject::Region(region.into()),
            order,
            who: String::new(),
            why: String::new(),
            made: SystemTime::UNIX_EPOCH,
            until,
        };
        let drain = Order::Drain { from: begin, over: Duration::from_secs(10) };
        let all = Overrides::restored(vec![
            one("a", drain, Some(begin + Duration::from_millis(5500))),
            one("b", Order::Up, None),
        ]);
        let rows = |at: u64| {
            let text =
                all.clone().unwrap().render(SystemTime::UNIX_EPOCH + Duration::from_secs(at));
            let rows = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
            rows.collect::<Vec<_>>()
        };
        let b = r#"dnsrouter_override_in_force{subject="b",order="force up"} 1"#;
        let end = r#"dnsrouter_override_end_timestamp_seconds{subject="a",order="drain"} 105.5"#;
        assert_eq!(
            rows(99),
            [
                r#"dnsrouter_override_in_force{subject="a",order="drain"} 0"#,
                b,
                r#"dnsrouter_drain_gone_ratio{subject="a",order="drain"} 0"#,
                end,
            ]
        );
        assert_eq!(
            rows(105)[2],
            r#"dnsrouter_drain_gone_ratio{subject="a",order="drain"} 0.49999237048905165"#
        );
        assert_eq!(rows(106), [b]);
    }
}
