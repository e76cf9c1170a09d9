//! What is told: a table for each scene, and the goals with what was reached. Markdown, which is read
//! as easily in a terminal.

use std::fmt::Write;
use std::time::Duration;

use crate::contender::Product;
use crate::entrant::Who;
use crate::figures::{Sample, Spread};
use crate::goal::figure_told;
use crate::goals::GOALS;
use crate::rounds::{DISTURBED, Outcome, Plan};
use crate::scene::{Load, Scene};

/// Beside whom processor time is told.
const BESIDE: [Product; 4] = [Product::Gdnsd, Product::Knot, Product::Nsd, Product::Echo];

/// A scene's table.
pub fn scene(outcome: &Outcome, plan: Plan) -> String {
    let Outcome { scene, figures, .. } = outcome;
    let beside = beside(scene);
    let mut text = format!("## {}: {}\n\n", scene.name, scene.about);
    let load = match scene.load {
        Load::Closed(window) => format!("{window} queries under way"),
        Load::Open(rate) => format!("{rate} queries/s, latencies from the intended time"),
        Load::Kept { connections, each } => {
            format!("{connections} connections over TCP, {each} queries under way on each")
        }
        Load::Anew(count) => format!("{count} connections over TCP at a time, a query on each"),
        Load::Idle(count) => format!("{count} connections over TCP, a query on each"),
    };
    let _ = writeln!(
        text,
        "{load}; {} interleaved rounds of {:?}. Medians (least to most); ratios are paired by round.\n",
        plan.rounds, plan.time,
    );
    let mut head = vec!["server".to_owned(), "CPU µs/query".into(), "user µs".into()];
    head.extend(beside.iter().map(|other| format!("CPU ÷ {other}")));
    let rest = ["queries/s", "p50 µs", "p99 µs", "p99.9 µs", "lost", "wrong", "MB", "disturbed"];
    head.extend(rest.map(str::to_owned));
    let mut rows = Vec::new();
    for who in scene.who() {
        let spread = |figure: fn(&Sample) -> f64| figures.spread(who, figure);
        let latency = |place: usize| {
            figures.spread(who, |sample| micros(sample.latency[place])).map(|it| it.median)
        };
        let mut row = vec![
            who.to_string(),
            told(spread(|sample| sample.cpu), 2),
            told(spread(|sample| sample.user), 2),
        ];
        for other in &beside {
            let ratio =
                (*other != who).then(|| figures.ratio(who, *other, |sample| sample.cpu)).flatten();
            row.push(told(ratio, 2));
        }
        let rate = spread(|sample| sample.rate).map_or(0.0, |rate| rate.median);
        row.push(format!("{rate:.0}"));
        row.extend((0..3).map(|place| format!("{:.0}", latency(place).unwrap_or_default())));
        row.push(figures.sum(who, |sample| sample.lost).to_string());
        row.push(figures.sum(who, |sample| sample.wrong).to_string());
        row.push(format!("{:.0}", spread(|it| it.memory).map_or(0.0, |it| it.median) / 1e6));
        let disturbed = figures.sum(who, |sample| u64::from(sample.others > DISTURBED));
        row.push(format!("{disturbed} of {}", plan.rounds));
        rows.push(row);
    }
    text.push_str(&table(&head, &rows));
    text
}

/// Other servers, where there are any; else the first case of ours.
fn beside(scene: &Scene) -> Vec<Who> {
    let others = BESIDE.into_iter().map(Who::only);
    let others: Vec<Who> = others.filter(|other| scene.who().any(|who| who == *other)).collect();
    if others.is_empty() { scene.who().take(1).collect() } else { others }
}

/// What was to be reached by these scenes, and what was; nothing where nothing was to be.
pub fn goals(outcomes: &[Outcome]) -> String {
    let mut rows = Vec::new();
    for outcome in outcomes {
        for goal in GOALS.iter().filter(|goal| goal.scene == outcome.scene.name) {
            let Some(measured) = goal.measured(&outcome.figures) else { continue };
            let verdict = match goal.met(measured.median) {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "",
            };
            let Spread { least, median, most } = measured;
            let [least, median, most] = [least, median, most].map(figure_told);
            rows.push(vec![
                goal.scene.to_owned(),
                goal.to_string(),
                format!("{median} ({least} to {most})"),
                verdict.to_owned(),
            ]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = ["scene", "goal", "measured", ""].map(str::to_owned);
    format!("## Goals\n\n{}", table(&head, &rows))
}

/// How long each server took from its start to its first answer.
pub fn starts(outcome: &Outcome) -> String {
    let told = |who: Who| {
        let started = outcome.figures.spread(who, |sample| sample.started)?;
        Some(format!("{who} {:.1} s", started.median))
    };
    let starts: Vec<String> = outcome.scene.who().filter_map(told).collect();
    format!("From start to first answer: {}.\n", starts.join(", "))
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn told(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(String::new, |Spread { least, median, most }| {
        format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
    })
}

/// Columns as wide as what is in them.
pub(crate) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&head[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule: String = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}|{rule}\n{rows}", line(head))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::figures::Figures;
    use crate::scenes::{SCENES, SHORT};

    fn outcome(ours: f64, gdnsd: f64) -> Outcome {
        let sample = |cpu: f64| Sample {
            cpu,
            user: 0.25,
            rate: 1e6 / cpu,
            latency: [Duration::from_micros(40); 3],
            others: 0.01,
            ..Sample::default()
        };
        let figures = BTreeMap::from([
            (Who::only(Product::Dnsrouter), vec![sample(ours); 3]),
            (
                Who::only(Product::Gdnsd),
                vec![sample(gdnsd), sample(gdnsd), Sample { others: 0.5, ..sample(gdnsd) }],
            ),
        ]);
        Outcome { scene: SHORT, figures: Figures(figures) }
    }

    #[test]
    fn a_table_tells_ratios_and_what_was_disturbed() {
        let plan = Plan { rounds: 3, time: Duration::from_secs(2) };
        let text = scene(&outcome(1.8, 2.0), plan);
        let line =
            |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let ours = line("| dnsrouter");
        assert!(
            ours.contains("1.80 (1.80 to 1.80)") && ours.contains("0.90 (0.90 to 0.90)"),
            "{ours}"
        );
        assert!(ours.contains("555556") && ours.contains("0 of 3"), "{ours}");
        assert!(line("| gdnsd").contains("1 of 3"), "{text}");
        let widths: Vec<usize> = text
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.chars().count())
            .collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }

    #[test]
    fn cases_of_one_server_stand_beside_the_first() {
        let scene = SCENES.iter().find(|scene| scene.name == "names").unwrap();
        assert_eq!(beside(scene), [scene.entrants[0].who]);
        let others = [Product::Gdnsd, Product::Knot, Product::Echo].map(Who::only);
        assert_eq!(beside(&SHORT), others);
    }

    #[test]
    fn a_missed_goal_is_said_to_be() {
        let goal = |ours| {
            let text = goals(&[outcome(ours, 2.0)]);
            text.lines().find(|line| line.contains("0.92 × gdnsd")).unwrap().to_owned()
        };
        assert!(goal(1.8).ends_with("| met        |"), "{}", goal(1.8));
        assert!(goal(1.9).ends_with("| **missed** |"), "{}", goal(1.9));
    }
}
