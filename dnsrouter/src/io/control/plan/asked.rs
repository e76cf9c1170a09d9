//! A question, put together from its pieces.

use std::collections::HashMap;
use std::path::PathBuf;

use dns::name::Name;
use geo::Population;
use proto::dnsrouter::v1::{PlanAsk, PlanPart, plan_part::Part};
use tonic::{Status, Streaming};

use crate::io::load::Offered;

/// Text of recorded clients: as many as a population has, with some room for comments.
const MAX_CLIENTS: usize = 48 << 20;
/// A configuration and its master files together; each of them has limits of its own.
const MAX_FILES: usize = 64 << 20;
/// Master files that are sent along.
const MAX_SENT: usize = 20_000;
/// Regions that are gone, and services that are asked for.
const MAX_NAMES: usize = 1000;
/// Countries of one service: more than there are.
const MAX_COUNTRIES: u32 = 300;

/// What somebody wants to know.
#[derive(Debug)]
pub(super) struct Asked {
    /// Regions as if they were down.
    pub(super) without: Vec<String>,
    /// None: all.
    pub(super) services: Vec<Name>,
    /// That are told.
    pub(super) countries: usize,
    /// Another configuration.
    pub(super) offered: Option<Offered>,
    /// Who asks; none: the routed world.
    pub(super) population: Option<Population>,
}

/// Pieces, as far as they have come.
#[derive(Debug, Default)]
struct Pieces {
    clients: Vec<u8>,
    config: Vec<u8>,
    files: HashMap<PathBuf, Vec<u8>>,
    size: usize,
}

impl Asked {
    /// Takes in pieces until there are no more.
    pub(super) async fn gather(mut parts: Streaming<PlanPart>) -> Result<Self, Status> {
        let Some(PlanPart { part: Some(Part::Ask(ask)) }) = parts.message().await? else {
            return Err(Status::invalid_argument("the first piece is the question itself"));
        };
        let mut pieces = Pieces::default();
        while let Some(PlanPart { part }) = parts.message().await? {
            pieces.take(part)?;
        }
        pieces.into_asked(ask)
    }
}

impl Pieces {
    fn take(&mut self, part: Option<Part>) -> Result<(), Status> {
        match part {
            Some(Part::Clients(piece)) => {
                self.clients.extend_from_slice(&piece);
                within(self.clients.len(), MAX_CLIENTS, "octets of clients")
            }
            Some(Part::Config(piece)) => {
                self.size += piece.len();
                self.config.extend_from_slice(&piece);
                within(self.size, MAX_FILES, "octets of configuration")
            }
            Some(Part::File(file)) => {
                self.size += file.content.len();
                within(self.size, MAX_FILES, "octets of configuration")?;
                self.files.entry(file.path.into()).or_default().extend_from_slice(&file.content);
                within(self.files.len(), MAX_SENT, "files")
            }
            Some(Part::Ask(_)) => Err(Status::invalid_argument("two questions at once")),
            None => Err(Status::invalid_argument("a piece of which this version knows nothing")),
        }
    }

    fn into_asked(self, ask: PlanAsk) -> Result<Asked, Status> {
        let Self { clients, config, files, .. } = self;
        within(ask.without.len().max(ask.services.len()), MAX_NAMES, "names")?;
        let offered = match ask.config_name {
            name if name.is_empty() => None,
            name => {
                let text = text(config, &name)?;
                Some(Offered { name, text, files })
            }
        };
        if offered.is_none() && ask.without.is_empty() {
            let words = "nothing would change: name regions, or send a configuration";
            return Err(Status::invalid_argument(words));
        }
        let population = match ask.recorded {
            false => None,
            true => Some(population(&text(clients, "the list of clients")?)?),
        };
        let service = |name: &String| {
            name.parse::<Name>().map_err(|error| {
                Status::invalid_argument(format!("{name:?} is no domain name: {error}"))
            })
        };
        Ok(Asked {
            services: ask.services.iter().map(service).collect::<Result<_, _>>()?,
            without: ask.without,
            countries: ask.countries.min(MAX_COUNTRIES) as usize,
            offered,
            population,
        })
    }
}

fn population(text: &str) -> Result<Population, Status> {
    let population = Population::parse(text).map_err(|error| {
        Status::invalid_argument(format!("clients, line {}: {error}", error.line))
    })?;
    match population.is_empty() {
        true => Err(Status::invalid_argument("the list of clients is empty")),
        false => Ok(population),
    }
}

fn text(octets: Vec<u8>, of: &str) -> Result<String, Status> {
    String::from_utf8(octets).map_err(|_| Status::invalid_argument(format!("{of} is not UTF-8")))
}

fn within(size: usize, limit: usize, what: &str) -> Result<(), Status> {
    match size <= limit {
        true => Ok(()),
        false => Err(Status::resource_exhausted(format!("more than {limit} {what}"))),
    }
}

#[cfg(test)]
mod tests {
    use proto::dnsrouter::v1::PlanFile;
    use tonic::Code;

    use super::*;

    fn ask(without: &[&str]) -> PlanAsk {
        let without = without.iter().map(|&region| region.to_owned()).collect();
        PlanAsk { without, countries: 10, ..PlanAsk::default() }
    }

    fn asked(ask: PlanAsk, parts: Vec<Part>) -> Result<Asked, Status> {
        let mut pieces = Pieces::default();
        parts.into_iter().try_for_each(|part| pieces.take(Some(part)))?;
        pieces.into_asked(ask)
    }

    #[test]
    fn pieces_are_put_together() {
        let piece = |content: &str| {
            Part::File(PlanFile { path: "zones/a".into(), content: content.as_bytes().to_vec() })
        };
        let ask = PlanAsk {
            config_name: "new.toml".into(),
            recorded: true,
            services: vec!["geo.test-net.io".into()],
            countries: 5000,
            ..PlanAsk::default()
        };
        let parts = vec![
            Part::Config(b"[no".to_vec()),
            piece("one "),
            Part::Clients(b"192.0.2.0/24 1\n198.51".to_vec()),
            Part::Config("de]\u{e9}".as_bytes()[..4].to_vec()),
            Part::Config("\u{e9}".as_bytes()[1..].to_vec()),
            piece("two"),
            Part::Clients(b".100.0/24 2".to_vec()),
        ];
        let asked = asked(ask, parts).unwrap();
        let offered = asked.offered.unwrap();
        assert_eq!((offered.text.as_str(), offered.name.as_str()), ("[node]\u{e9}", "new.toml"));
        assert_eq!(offered.files[&PathBuf::from("zones/a")], b"one two");
        assert_eq!(asked.population.unwrap().total(), 3);
        assert_eq!((asked.services.len(), asked.countries), (1, 300));
    }

    #[test]
    fn what_is_no_question_is_refused_with_the_reason() {
        let clients = |text: &str| vec![Part::Clients(text.as_bytes().to_vec())];
        let recorded = || PlanAsk { recorded: true, ..ask(&["r"]) };
        for (ask, parts, code, words) in [
            (ask(&[]), vec![], Code::InvalidArgument, "nothing would change"),
            (ask(&["r"]), vec![Part::Ask(ask(&[]))], Code::InvalidArgument, "two questions"),
            (recorded(), vec![], Code::InvalidArgument, "is empty"),
            (recorded(), clients("# nobody\n"), Code::InvalidArgument, "is empty"),
            (recorded(), clients("192.0.2.0/24 1\nx 1"), Code::InvalidArgument, "line 2: \"x\""),
            (recorded(), vec![Part::Clients(vec![0xff])], Code::InvalidArgument, "not UTF-8"),
            (
                ask(&["r"]),
                vec![Part::Clients(vec![b'#'; MAX_CLIENTS + 1])],
                Code::ResourceExhausted,
                "octets of clients",
            ),
            (
                ask(&["r"]),
                vec![Part::Config(vec![b'#'; MAX_FILES]), Part::Config(vec![b'#'])],
                Code::ResourceExhausted,
                "octets of configuration",
            ),
            (ask(&["r"; MAX_NAMES + 1]), vec![], Code::ResourceExhausted, "names"),
        ] {
            let refused = asked(ask, parts).unwrap_err();
            assert_eq!(refused.code(), code, "{refused}");
            assert!(refused.message().contains(words), "{refused}");
        }
    }
}
