//! What a case expects, and of whom.

use super::query::{self, Query};
use super::record::Record;

/// Headings of the record sections.
pub const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// One question and its answer.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// `tests/cases/dns/….case:LINE`.
    pub place: String,
    /// What is sent.
    pub query: Query,
    /// One for both transports, or one for each or only one.
    pub expected: Vec<Expected>,
    /// What else is to be said of the peers; of whom nothing is said, the same is expected.
    pub peers: Vec<(Product, Verdict)>,
}

/// Programs that answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// Ours.
    Dnsrouter,
    /// Knot DNS by CZ.NIC.
    Knot,
    /// NSD by NLnet Labs.
    Nsd,
}

/// Where a peer stands towards a case.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It answers something else, for this reason; and if that is told, exactly this.
    Differs(String, Option<Vec<Expected>>),
    /// It is not asked, for this reason.
    Skips(String),
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Over which transport; none: over both.
    pub transport: Option<Transport>,
    /// What comes; none: silence.
    pub reply: Option<Reply>,
}

/// What comes.
#[derive(Clone, Debug)]
pub struct Reply {
    /// With its upper bits.
    pub rcode: u16,
    /// Exactly these flags; RD is not among them, it is always the query's.
    pub flags: u16,
    /// What stands in the question section.
    pub question: Question,
    /// Exactly these, in any order inside an RRset; RRsets of the answer in this order.
    pub sections: [Vec<Record>; 3],
    /// Whether the additional section may hold more.
    pub more: bool,
    /// The OPT record.
    pub opt: Option<OptExpected>,
}

/// What stands in the question section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The query's, in its own case.
    Same,
    /// Nothing.
    Nothing,
    /// The query's first, or nothing: a message that is not well-formed has no better rule.
    SameOrNothing,
}

/// An OPT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptExpected {
    /// UDP payload size.
    pub size: u16,
    /// EDNS version.
    pub version: u8,
    /// The DO bit; all other flags have to be clear.
    pub do_bit: bool,
    /// Exactly these options, in any order.
    pub options: Vec<(u16, Pattern)>,
}

/// Octets of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// `None` is any octet.
    octets: Vec<Option<u8>>,
    /// Whether more may follow.
    more: bool,
}

impl Product {
    /// All of them; ours first.
    pub const ALL: [Product; 3] = [Product::Dnsrouter, Product::Knot, Product::Nsd];

    /// As case files call it.
    pub fn name(self) -> &'static str {
        match self {
            Product::Dnsrouter => "dnsrouter",
            Product::Knot => "knot",
            Product::Nsd => "nsd",
        }
    }
}

impl Case {
    /// What `product` has to answer over `transport`; none: it is not asked.
    pub fn expected(&self, transport: Transport) -> Option<&Expected> {
        Expected::over(&self.expected, transport)
    }

    /// What is said of a peer.
    pub fn verdict(&self, product: Product) -> Option<&Verdict> {
        self.peers.iter().find(|(peer, _)| *peer == product).map(|(_, verdict)| verdict)
    }
}

impl Transport {
    /// Both.
    pub const ALL: [Transport; 2] = [Transport::Udp, Transport::Tcp];

    /// As case files call it.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

impl Expected {
    /// The one of `all` that holds over `transport`.
    pub fn over(all: &[Expected], transport: Transport) -> Option<&Expected> {
        all.iter().find(|expected| expected.transport.is_none_or(|only| only == transport))
    }
}

impl OptExpected {
    /// What is expected if nothing is said: version 0, the query's DO bit, the size that all
    /// servers are configured with, no options.
    pub fn default_for(do_bit: bool) -> OptExpected {
        OptExpected { size: 1232, version: 0, do_bit, options: Vec::new() }
    }

    /// Takes one word of an `opt` line.
    pub fn set(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let bad = |_| format!("cannot read {word:?}");
        let number = |text: &str| text.parse::<u16>().map_err(bad);
        let (code, pattern) = match key {
            "size" => {
                self.size = number(value)?;
                return Ok(());
            }
            "version" => {
                self.version = value.parse().map_err(bad)?;
                return Ok(());
            }
            "do" => {
                self.do_bit = true;
                return Ok(());
            }
            "-do" => {
                self.do_bit = false;
                return Ok(());
            }
            "nsid" => (3, Pattern::exactly(value.as_bytes())),
            "ecs" => (8, Pattern::exactly(&query::subnet(value)?)),
            "cookie" => (10, Pattern::parse(value)?),
            "keepalive" if value.is_empty() => (11, Pattern::parse("....")?),
            "keepalive" => (11, Pattern::exactly(&number(value)?.to_be_bytes())),
            "padding" => (12, Pattern::parse("*")?),
            "ede" => {
                let mut pattern = Pattern::exactly(&number(value)?.to_be_bytes());
                pattern.more = true;
                (15, pattern)
            }
            _ => (number(key)?, Pattern::parse(value)?),
        };
        self.options.push((code, pattern));
        Ok(())
    }
}

impl Pattern {
    fn exactly(octets: &[u8]) -> Pattern {
        Pattern { octets: octets.iter().copied().map(Some).collect(), more: false }
    }

    /// Hexadecimal, with `..` for any octet, and `*` at the end for any number of them.
    fn parse(text: &str) -> Result<Pattern, String> {
        let fixed = text.strip_suffix('*');
        let mut octets = Vec::new();
        for pair in fixed.unwrap_or(text).as_bytes().chunks(2) {
            octets.push(match pair {
                b".." => None,
                _ => Some(query::hex(&String::from_utf8_lossy(pair))?[0]),
            });
        }
        Ok(Pattern { octets, more: fixed.is_some() })
    }

    /// Whether `data` is of this form.
    pub fn matches(&self, data: &[u8]) -> bool {
        let fits = data.len() == self.octets.len() || self.more && data.len() > self.octets.len();
        fits && self.octets.iter().zip(data).all(|(want, got)| want.is_none_or(|want| want == *got))
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for octet in &self.octets {
            match octet {
                Some(octet) => write!(f, "{octet:02x}")?,
                None => f.write_str("..")?,
            }
        }
        f.write_str(if self.more { "*" } else { "" })
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use super::message::{flags_text, rcode_text};
        writeln!(f, "{} {}", rcode_text(self.rcode), flags_text(self.flags))?;
        for (title, records) in SECTIONS.iter().zip(&self.sections) {
            for record in records {
                writeln!(f, "{title:<11} {record}")?;
            }
        }
        if self.more {
            writeln!(f, "additional  ...")?;
        }
        let Some(opt) = &self.opt else { return Ok(()) };
        write!(f, "opt         size={} version={}", opt.size, opt.version)?;
        f.write_str(if opt.do_bit { " do" } else { "" })?;
        opt.options.iter().try_for_each(|(code, pattern)| write!(f, " {code}={pattern}"))?;
        writeln!(f)
    }
}
