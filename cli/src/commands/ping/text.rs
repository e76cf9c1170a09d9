//! What ping prints: the one object, a line per reply, and the figures at the end. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use proto::geoping::v1 as wire;
use serde::Serialize;

use super::statistics::{RoundTrips, Statistics, milliseconds};
use crate::endpoint::HostPort;
use crate::exit::one_line;

/// An answered ping.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) reply: wire::ServerStatusReply,
    pub(crate) address: SocketAddr,
    pub(crate) rtt: Duration,
}

/// The four fields every GeoPing has always answered with, in their order, and on request what
/// newer ones add.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'a> {
    region: &'a str,
    version: &'a str,
    uptime: &'a str,
    status: &'a str,
    #[serde(flatten)]
    more: Option<More<'a>>,
}

#[derive(Debug, Serialize)]
struct More<'a> {
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<Caller<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    capacity: u64,
    draining: bool,
    detail: &'a str,
}

#[derive(Debug, Serialize)]
struct Location {
    latitude: f64,
    longitude: f64,
}

#[derive(Debug, Serialize)]
struct Caller<'a> {
    address: &'a str,
    country: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    identity: &'a str,
}

#[derive(Debug, Serialize)]
struct Load {
    in_flight: u32,
    cpu: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
}

/// The reply as an object; `verbose` adds the fields after the first four.
pub(crate) fn status(reply: &wire::ServerStatusReply, verbose: bool) -> Status<'_> {
    Status {
        region: &reply.region,
        version: &reply.version,
        uptime: &reply.uptime,
        status: &reply.status,
        more: verbose.then(|| more(reply)),
    }
}

fn more(reply: &wire::ServerStatusReply) -> More<'_> {
    More {
        node: &reply.node,
        location: reply.location.as_ref().map(location),
        caller: reply.caller.as_ref().map(|caller| Caller {
            address: &caller.address,
            country: &caller.country,
            location: caller.location.as_ref().map(location),
            identity: &caller.identity,
        }),
        load: reply.load.as_ref().map(|load| Load {
            in_flight: load.in_flight,
            cpu: load.cpu,
            rate: load.rate,
        }),
        capacity: reply.capacity,
        draining: reply.draining,
        detail: &reply.detail,
    }
}

fn location(location: &wire::Location) -> Location {
    Location { latitude: location.latitude, longitude: location.longitude }
}

/// `us-central1 (127.0.0.11:8443): seq=1 time=1.234 ms status=OK uptime=1m2s`
pub(crate) fn answer_line(seq: u64, answer: &Answer, verbose: bool) -> String {
    let reply = &answer.reply;
    let mut line = format!(
        "{} ({}): seq={seq} time={:.3} ms status={} uptime={}",
        word(&reply.region),
        answer.address,
        milliseconds(answer.rtt),
        word(&reply.status),
        word(&reply.uptime),
    );
    if verbose {
        line.push_str(&details(reply));
    }
    line.push('\n');
    line
}

fn details(reply: &wire::ServerStatusReply) -> String {
    let mut text = format!(" node={}", word(&reply.node));
    // Writing to a String cannot fail.
    if let Some(at) = &reply.location {
        let _ = write!(text, " location={:.2},{:.2}", at.latitude, at.longitude);
    }
    if let Some(caller) = &reply.caller {
        let _ = write!(text, " caller={}", word(&caller.address));
        if !caller.country.is_empty() {
            let _ = write!(text, " country={}", word(&caller.country));
        }
        let _ = write!(text, " identity={}", word(&caller.identity));
    }
    if let Some(load) = &reply.load {
        let _ = write!(text, " in_flight={} cpu={:.0}%", load.in_flight, load.cpu * 100.0);
        if let Some(rate) = load.rate {
            let _ = write!(text, " rate={rate:.0}/s");
        }
    }
    if reply.capacity > 0 {
        let _ = write!(text, " capacity={}/s", reply.capacity);
    }
    if reply.draining {
        text.push_str(" draining");
    }
    if !reply.detail.is_empty() {
        let _ = write!(text, " detail={:?}", one_line(&reply.detail));
    }
    text
}

/// A server's text as one word of a line.
fn word(text: &str) -> String {
    match one_line(text) {
        empty if empty.is_empty() => "-".to_owned(),
        clean => clean.replace(' ', "_"),
    }
}

/// `seq=2: connection refused …`
pub(crate) fn lost_line(seq: u64, cause: &str) -> String {
    format!("no answer: seq={seq} {}\n", one_line(cause))
}

/// The figures at the end, as ping(8) words them.
pub(crate) fn summary(target: &HostPort, statistics: &Statistics, elapsed: Duration) -> String {
    let mut text = format!(
        "--- {target} ping statistics ---\n{} sent, {} received, {}% loss, time {} ms\n",
        statistics.sent(),
        statistics.received(),
        percent(statistics.loss_percent()),
        elapsed.as_millis(),
    );
    if let Some(RoundTrips { min, avg, max, stddev }) = statistics.round_trips() {
        let _ =
            writeln!(text, "rtt min/avg/max/stddev = {min:.3}/{avg:.3}/{max:.3}/{stddev:.3} ms");
    }
    if !statistics.regions().is_empty() {
        let counted = statistics.regions().iter();
        let counted: Vec<_> =
            counted.map(|(name, count)| format!("{} {count}", word(name))).collect();
        let _ = writeln!(text, "regions: {}", counted.join(", "));
    }
    text
}

/// At most one decimal, and none where it says nothing.
fn percent(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// One reply as NDJSON.
#[derive(Debug, Serialize)]
pub(crate) struct AnswerObject<'a> {
    seq: u64,
    address: SocketAddr,
    time_ms: f64,
    #[serde(flatten)]
    status: Status<'a>,
}

pub(crate) fn answer_object(seq: u64, answer: &Answer, verbose: bool) -> AnswerObject<'_> {
    AnswerObject {
        seq,
        address: answer.address,
        time_ms: rounded(milliseconds(answer.rtt)),
        status: status(&answer.reply, verbose),
    }
}

/// One lost ping as NDJSON.
#[derive(Debug, Serialize)]
pub(crate) struct LostObject {
    pub(crate) seq: u64,
    pub(crate) error: String,
}

/// The last NDJSON object.
#[derive(Debug, Serialize)]
pub(crate) struct SummaryObject<'a> {
    summary: Summary<'a>,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    host: String,
    sent: u64,
    received: u64,
    loss_percent: f64,
    elapsed_ms: u128,
    rtt_ms: Option<RoundTrips>,
    regions: &'a BTreeMap<String, u64>,
}

pub(crate) fn summary_object<'a>(
    target: &HostPort,
    statistics: &'a Statistics,
    elapsed: Duration,
) -> SummaryObject<'a> {
    let rtt_ms = statistics.round_trips().map(|trips| RoundTrips {
        min: rounded(trips.min),
        avg: rounded(trips.avg),
        max: rounded(trips.max),
        stddev: rounded(trips.stddev),
    });
    SummaryObject {
        summary: Summary {
            host: target.to_string(),
            sent: statistics.sent(),
            received: statistics.received(),
            loss_percent: rounded(statistics.loss_percent()),
            elapsed_ms: elapsed.as_millis(),
            rtt_ms,
            regions: statistics.regions(),
        },
    }
}

/// To three decimals: microseconds are what the clock is good for.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output;

    fn reply() -> wire::ServerStatusReply {
        wire::ServerStatusReply {
            region: "us-central1".into(),
            version: "0.1.0".into(),
            uptime: "616h22m17.012357708s".into(),
            status: "OK".into(),
            node: "us-central1-a".into(),
            location: Some(wire::Location { latitude: 41.26, longitude: -95.86 }),
            caller: Some(wire::Caller {
                address: "127.0.0.1:40000".into(),
                country: String::new(),
                location: None,
                identity: "spiffe://test-net.io/user/dev".into(),
            }),
            load: Some(wire::Load { in_flight: 1, cpu: 0.07, rate: Some(812.5) }),
            capacity: 5000,
            ..Default::default()
        }
    }

    fn answer() -> Answer {
        Answer {
            reply: reply(),
            address: "127.0.0.11:8443".parse().unwrap(),
            rtt: Duration::from_nanos(1_234_400),
        }
    }

    #[test]
    fn the_object_has_the_four_fields_in_their_order() {
        assert_eq!(
            output::pretty(&status(&reply(), false)).unwrap(),
            "{\n  \"region\": \"us-central1\",\n  \"version\": \"0.1.0\",\n  \
             \"uptime\": \"616h22m17.012357708s\",\n  \"status\": \"OK\"\n}\n"
        );
    }

    #[test]
    fn verbose_adds_the_other_fields_after_them() {
        assert_eq!(
            output::line(&status(&reply(), true)).unwrap(),
            "{\"region\":\"us-central1\",\"version\":\"0.1.0\",\
             \"uptime\":\"616h22m17.012357708s\",\"status\":\"OK\",\"node\":\"us-central1-a\",\
             \"location\":{\"latitude\":41.26,\"longitude\":-95.86},\
             \"caller\":{\"address\":\"127.0.0.1:40000\",\"country\":\"\",\
             \"identity\":\"spiffe://test-net.io/user/dev\"},\
             \"load\":{\"in_flight\":1,\"cpu\":0.07,\"rate\":812.5},\"capacity\":5000,\"draining\":false,\
             \"detail\":\"\"}\n"
        );
    }

    #[test]
    fn a_line_per_reply() {
        assert_eq!(
            answer_line(1, &answer(), false),
            "us-central1 (127.0.0.11:8443): seq=1 time=1.234 ms status=OK \
             uptime=616h22m17.012357708s\n"
        );
        assert_eq!(
            answer_line(1, &answer(), true),
            "us-central1 (127.0.0.11:8443): seq=1 time=1.234 ms status=OK \
             uptime=616h22m17.012357708s node=us-central1-a location=41.26,-95.86 \
             caller=127.0.0.1:40000 identity=spiffe://test-net.io/user/dev in_flight=1 cpu=7% rate=812/s \
             capacity=5000/s\n"
        );
    }

    #[test]
    fn a_server_cannot_write_more_than_its_words() {
        let mut answer = answer();
        answer.reply.region = "x\n--- fake\x1b[2J".into();
        answer.reply.status = String::new();
        let line = answer_line(2, &answer, false);
        assert!(line.starts_with("x_---_fake_[2J (127.0.0.11:8443): seq=2 "), "{line:?}");
        assert!(line.contains(" status=- "), "{line:?}");
    }

    #[test]
    fn the_figures_at_the_end() {
        let target = "geo.test-net.io:8443".parse().unwrap();
        let mut statistics = Statistics::default();
        statistics.lost();
        assert_eq!(
            summary(&target, &statistics, Duration::from_millis(1000)),
            "--- geo.test-net.io:8443 ping statistics ---\n\
             1 sent, 0 received, 100% loss, time 1000 ms\n"
        );
        statistics.answered(Duration::from_millis(2), "us-central1");
        statistics.answered(Duration::from_millis(4), "europe-west3");
        assert_eq!(
            summary(&target, &statistics, Duration::from_millis(2004)),
            "--- geo.test-net.io:8443 ping statistics ---\n\
             3 sent, 2 received, 33.3% loss, time 2004 ms\n\
             rtt min/avg/max/stddev = 2.000/3.000/4.000/1.000 ms\n\
             regions: europe-west3 1, us-central1 1\n"
        );
        assert_eq!(
            output::line(&summary_object(&target, &statistics, Duration::from_millis(2004)))
                .unwrap(),
            "{\"summary\":{\"host\":\"geo.test-net.io:8443\",\"sent\":3,\"received\":2,\
             \"loss_percent\":33.333,\"elapsed_ms\":2004,\
             \"rtt_ms\":{\"min\":2.0,\"avg\":3.0,\"max\":4.0,\"stddev\":1.0},\
             \"regions\":{\"europe-west3\":1,\"us-central1\":1}}}\n"
        );
    }

    #[test]
    fn a_reply_and_a_loss_as_ndjson() {
        assert_eq!(
            output::line(&answer_object(1, &answer(), false)).unwrap(),
            "{\"seq\":1,\"address\":\"127.0.0.11:8443\",\"time_ms\":1.234,\
             \"region\":\"us-central1\",\"version\":\"0.1.0\",\
             \"uptime\":\"616h22m17.012357708s\",\"status\":\"OK\"}\n"
        );
        let lost = LostObject { seq: 2, error: "connection refused".into() };
        assert_eq!(output::line(&lost).unwrap(), "{\"seq\":2,\"error\":\"connection refused\"}\n");
    }
}
