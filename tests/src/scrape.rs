//! Metrics and readiness of a program, as Prometheus and Kubernetes see them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The admin port answers from memory.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The metrics of one program at one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Reads `/metrics` of the admin port.
    ///
    /// # Panics
    ///
    /// When there is no such page.
    pub fn scrape(admin: SocketAddr) -> Metrics {
        let (status, text) = get(admin, "/metrics");
        assert_eq!(status, 200, "GET /metrics: {text}");
        Metrics { text }
    }

    /// The sum of all series of `name`, whatever their labels; 0 when there is none.
    pub fn sum(&self, name: &str) -> f64 {
        self.labelled(name, &[])
    }

    /// The sum of the series of `name` that have all these `key="value"` labels.
    pub fn labelled(&self, name: &str, labels: &[&str]) -> f64 {
        self.text
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    /// Whether there is a series of this name.
    pub fn has(&self, name: &str) -> bool {
        self.text.lines().any(|line| line.split(['{', ' ']).next() == Some(name))
    }

    /// The page itself.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// GET `path`: the status code and the body.
///
/// # Panics
///
/// When nobody answers in HTTP.
pub fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    let answer = fetch(admin, path).unwrap_or_else(|error| panic!("GET {admin}{path}: {error}"));
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).unwrap_or_else(|| panic!("GET {admin}{path}: not HTTP: {answer}"))
}

/// HTTP/1.0, so that the body is never in chunks and its end is the connection's.
fn fetch(admin: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
