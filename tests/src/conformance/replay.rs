//! Cases put to a server.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::expect::{Case, Expected, Product, Transport, Verdict};
use super::file::CaseFile;
use super::judge::{judge, same};
use super::message::Message;

/// Whom questions are put to.
pub trait Server {
    /// What it is.
    fn product(&self) -> Product;

    /// Sends one message and returns the answer; none: there is none. `silence`: none is expected.
    ///
    /// # Errors
    ///
    /// When it is not there any more.
    fn ask(
        &mut self,
        transport: Transport,
        from: Ipv4Addr,
        query: &[u8],
        silence: bool,
    ) -> std::io::Result<Option<Vec<u8>>>;
}

/// How a file went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Cases asked.
    pub asked: usize,
    /// Of these, answered in another way than expected, and the case says why.
    pub explained: usize,
    /// Cases not asked, and the case or the file says why.
    pub skipped: usize,
    /// What is wrong, each for people.
    pub failures: Vec<String>,
}

/// Puts all cases of a file to a server.
pub fn replay(file: &CaseFile, server: &mut dyn Server) -> Outcome {
    let mut outcome = Outcome::default();
    for case in &file.cases {
        if file.skips(server.product(), case).is_some() {
            outcome.skipped += 1;
            continue;
        }
        outcome.asked += 1;
        let differs = matches!(case.verdict(server.product()), Some(Verdict::Differs(..)));
        outcome.explained += usize::from(differs);
        if let Err(failure) = check(case, server) {
            outcome.failures.push(failure);
        }
    }
    outcome
}

/// Puts one case to a server, over each transport that it is for.
///
/// # Errors
///
/// What is wrong, for people: with the case's place, what was expected and what came.
pub fn check(case: &Case, server: &mut dyn Server) -> Result<(), String> {
    let product = server.product();
    let (reason, instead) = match case.verdict(product) {
        Some(Verdict::Differs(reason, instead)) => (Some(reason), instead.as_deref()),
        _ => (None, None),
    };
    let mut replies = Vec::new();
    // With a difference: whether there is one.
    let mut differs = false;
    for transport in Transport::ALL {
        let Some(plain) = case.expected(transport) else { continue };
        let expected = match instead {
            None => plain,
            Some(instead) => match Expected::over(instead, transport) {
                Some(expected) => expected,
                None => plain,
            },
        };
        let place =
            format!("{} {:?} ({}, {})", case.place, case.name, product.name(), transport.name());
        let mut query = case.query.bytes.clone();
        let id = id(&case.place);
        query.iter_mut().zip(id).for_each(|(octet, id)| *octet = id);
        let from = case.query.from.unwrap_or(Ipv4Addr::LOCALHOST);
        let silence = expected.reply.is_none();
        let reply = server
            .ask(transport, from, &query, silence)
            .map_err(|error| format!("{place}: {error}"))?;
        if let Some(reply) = &reply
            && query.len() >= 2
            && !reply.starts_with(&id)
        {
            return Err(format!("{place}: the answer has another id"));
        }
        differs |= !judge(plain, &case.query, reply.as_deref(), product).is_empty();
        if reason.is_none() || instead.is_some() {
            let wrong = judge(expected, &case.query, reply.as_deref(), product);
            if !wrong.is_empty() {
                return Err(shown(&place, &wrong, expected, reply.as_deref()));
            }
        }
        replies.push(reply);
    }
    if let Some(reason) = reason
        && !differs
    {
        let name = product.name();
        return Err(format!("{}: {name} does not differ any more: {reason}", case.place));
    }
    if product == Product::Dnsrouter
        && let [Some(udp), Some(tcp)] = &replies[..]
    {
        same(udp, tcp).map_err(|error| format!("{} {:?}: {error}", case.place, case.name))?;
    }
    Ok(())
}

/// An id of the case's own, the same each time.
fn id(place: &str) -> [u8; 2] {
    let sum =
        place.bytes().fold(7_u16, |sum, octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
    // The first bit is the canaries'.
    (sum & 0x7fff).to_be_bytes()
}

fn shown(place: &str, wrong: &[String], expected: &Expected, reply: Option<&[u8]>) -> String {
    let mut text = format!("{place}\n");
    for line in wrong {
        let _ = writeln!(text, "    {line}");
    }
    let mut block = |title: &str, body: String| {
        let _ = writeln!(text, "  {title}");
        for line in body.lines() {
            let _ = writeln!(text, "    {line}");
        }
    };
    let silence = || "silence".to_owned();
    block("expected", expected.reply.as_ref().map_or_else(silence, ToString::to_string));
    let got = reply.map_or_else(silence, |bytes| match Message::parse(bytes) {
        Ok(message) => message.to_string(),
        Err(error) => format!("{error}\n{bytes:02x?}"),
    });
    block("got", got);
    text
}
