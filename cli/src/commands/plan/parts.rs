//! What a name server is sent: the question, and the files that it needs, in pieces.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use daemon::config::MAX_FILE;
use daemon::files;
use dns::name::Name;
use dns::zonefile::MAX_TEXT;
use geo::Population;
use proto::dnsrouter::v1::plan_part::Part;
use proto::dnsrouter::v1::{PlanAsk, PlanFile, PlanPart};
use zonefiles::MasterFile;

/// Octets of one piece.
const PIECE: usize = 256 << 10;
/// A list of clients: what a name server takes.
const MAX_CLIENTS: u64 = 48 << 20;

/// Everything, read and checked as far as it can be here.
#[derive(Debug)]
pub(super) struct Parts {
    ask: PlanAsk,
    clients: String,
    config: Vec<u8>,
    /// Master files, as the configuration names them or from its folder on.
    files: BTreeMap<String, Vec<u8>>,
}

impl Parts {
    /// Reads the files of a question.
    ///
    /// # Errors
    /// Which file cannot be read, or which line of the clients is none.
    pub(super) fn read(
        ask: PlanAsk,
        config: Option<&Path>,
        clients: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut parts =
            Self { ask, clients: String::new(), config: Vec::new(), files: BTreeMap::new() };
        if let Some(file) = clients {
            population(file)?.write(&mut parts.clients, "clients")?;
        }
        if let Some(file) = config {
            let read = files::read(file, MAX_FILE).with_context(|| file.display().to_string())?;
            parts.config = read.octets;
            // What is wrong with it the name server says, with its place.
            let folder = file.parent().unwrap_or(Path::new(""));
            let text = String::from_utf8_lossy(&parts.config);
            for (zone, file) in zones(&text) {
                add(&mut parts.files, folder, &zone, &file);
            }
        }
        Ok(parts)
    }

    /// One message after the other.
    pub(super) fn pieces(&self) -> Vec<PlanPart> {
        let clients = self.clients.as_bytes().chunks(PIECE).map(|p| Part::Clients(p.to_vec()));
        let config = self.config.chunks(PIECE).map(|piece| Part::Config(piece.to_vec()));
        let files = self.files.iter().flat_map(|(path, text)| {
            // Also an empty file is one that was sent.
            let pieces = text.chunks(PIECE).chain(text.is_empty().then_some(&[][..]));
            pieces.map(|p| Part::File(PlanFile { path: path.clone(), content: p.to_vec() }))
        });
        let ask = std::iter::once(Part::Ask(self.ask.clone()));
        let all = ask.chain(clients).chain(config).chain(files);
        all.map(|part| PlanPart { part: Some(part) }).collect()
    }
}

fn population(file: &Path) -> anyhow::Result<Population> {
    let shown = file.display();
    let read = files::read(file, MAX_CLIENTS).with_context(|| shown.to_string())?;
    let text = String::from_utf8(read.octets).with_context(|| shown.to_string())?;
    let population = Population::parse(&text)
        .map_err(|error| anyhow::anyhow!("{shown}:{}: {error}", error.line))?;
    if population.is_empty() {
        bail!("{shown}: nobody was seen; a plan needs clients");
    }
    Ok(population)
}

/// Names and files of a configuration's zones, as far as it can be read.
fn zones(config: &str) -> Vec<(String, String)> {
    let table = config.parse::<toml::Table>().unwrap_or_default();
    let zones = table.get("zone").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let word = |zone: &toml::Value, key: &str| Some(zone.get(key)?.as_str()?.to_owned());
    zones.iter().filter_map(|zone| Some((word(zone, "name")?, word(zone, "file")?))).collect()
}

/// Adds a zone's file and what it includes. What is not here is perhaps on the name server, and what
/// is wrong is told by it.
fn add(files: &mut BTreeMap<String, Vec<u8>>, folder: &Path, zone: &str, file: &str) {
    let path = folder.join(file);
    let Ok(read) = files::read(&path, MAX_TEXT as u64) else { return };
    files.insert(file.to_owned(), read.octets);
    let (Ok(apex), Ok(opened)) = (zone.parse::<Name>(), MasterFile::open(&path)) else { return };
    let mut included: HashSet<PathBuf> = HashSet::new();
    let _ = opened.parse(&apex, &mut |path| {
        included.insert(path.to_owned());
    });
    for path in included {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        // As the master file's reader has it: what lies outside of its folder is no part of it.
        let inside = is_inside(&path, folder.join(file).parent());
        if let (true, Ok(read)) = (inside, files::read(&path, MAX_TEXT as u64)) {
            files.insert(name, read.octets);
        }
    }
}

fn is_inside(path: &Path, folder: Option<&Path>) -> bool {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: Option<&Path>, clients: Option<&Path>) -> anyhow::Result<Parts> {
        Parts::read(PlanAsk::default(), config, clients)
    }

    #[test]
    fn a_configuration_takes_its_zones_and_what_they_include_along() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("zones")).unwrap();
        let head = "$TTL 300\n@ SOA ns h 1 2 3 4 60\n@ NS ns\nns A 192.0.2.1\n";
        std::fs::write(at("zones/a"), format!("{head}$INCLUDE hosts\n$INCLUDE ../secret\n"))
            .unwrap();
        std::fs::write(at("zones/hosts"), "x A 192.0.2.2\n").unwrap();
        std::fs::write(at("secret"), "no").unwrap();
        std::fs::write(at("zones/broken"), "@ NONSENSE\n").unwrap();
        let zone = |name: &str, file: &str| format!("[[zone]]\nname = '{name}'\nfile = '{file}'\n");
        let config = zone("a.example", "zones/a")
            + &zone("b.example", "zones/broken")
            + &zone("c.example", "zones/elsewhere");
        std::fs::write(at("new.toml"), &config).unwrap();
        let parts = read(Some(&at("new.toml")), None).unwrap();
        let sent: Vec<&str> = parts.files.keys().map(String::as_str).collect();
        assert_eq!(sent, ["zones/a", "zones/broken", "zones/hosts"]);
        let pieces = parts.pieces();
        assert!(matches!(pieces[0].part, Some(Part::Ask(_))));
        assert_eq!(pieces.len(), 5);

        std::fs::write(at("new.toml"), "[[zone").unwrap();
        assert!(read(Some(&at("new.toml")), None).unwrap().files.is_empty());
        let error = read(Some(&at("missing.toml")), None).unwrap_err();
        assert!(error.to_string().ends_with("missing.toml"), "{error}");
    }

    #[test]
    fn a_bad_line_of_clients_is_told_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clients");
        let told = |text: &[u8]| {
            std::fs::write(&file, text).unwrap();
            format!("{:#}", read(None, Some(&file)).unwrap_err())
        };
        let wrong = told(b"# seen\n192.0.2.0/24 5\nhere 1\n");
        assert!(
            wrong.ends_with("clients:3: \"here\" is no prefix, e.g. 192.0.2.0/24 or 2001:db8::/48"),
            "{wrong}"
        );
        assert!(told(b"# seen\n").ends_with("nobody was seen; a plan needs clients"));
        assert!(told(b"\xff").contains("utf-8"));
    }

    #[test]
    fn pieces_are_small_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clients");
        let lines = (0..60_000).map(|at| format!("{}.{}.0.0/24 7\n", 1 + at / 256, at % 256));
        std::fs::write(&file, lines.collect::<String>()).unwrap();
        let parts = read(None, Some(&file)).unwrap();
        let pieces = parts.pieces();
        assert!(pieces.len() > 2);
        let sent = pieces.iter().filter_map(|piece| match &piece.part {
            Some(Part::Clients(piece)) => Some(piece.as_slice()),
            _ => None,
        });
        assert!(sent.clone().all(|piece| piece.len() <= PIECE));
        assert_eq!(sent.collect::<Vec<_>>().concat(), parts.clients.as_bytes());
    }
}
