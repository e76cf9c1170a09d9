//! What is asked, and what must be answered.

use std::collections::HashMap;

use super::judge::Expected;

/// Queries in wire form, each with what must be answered, in the order they are asked. They lie one
/// behind the other: a generator that waits for memory measures itself.
#[derive(Debug, Default)]
pub struct Workload {
    octets: Vec<u8>,
    asked: Vec<Asked>,
    expected: Vec<Expected>,
    known: HashMap<Expected, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    start: u32,
    length: u16,
    expected: Option<u32>,
}

impl Workload {
    /// Asks this too.
    ///
    /// # Panics
    ///
    /// When a query is longer than any message, or all of them are than 4 GiB.
    pub fn ask(&mut self, query: &[u8], expected: Expected) {
        let expected = *self.known.entry(expected).or_insert_with_key(|expected| {
            self.expected.push(expected.clone());
            u32::try_from(self.expected.len() - 1).expect("no more than there are queries")
        });
        let start = u32::try_from(self.octets.len()).expect("less than 4 GiB of queries");
        let length = u16::try_from(query.len()).expect("a query is a message");
        self.octets.extend(query);
        self.asked.push(Asked { start, length, expected: Some(expected) });
    }

    /// The same questions to one who sends them back.
    #[must_use]
    pub fn echoed(&self) -> Workload {
        let asked = self.asked.iter().map(|asked| Asked { expected: None, ..*asked }).collect();
        Workload { octets: self.octets.clone(), asked, ..Workload::default() }
    }

    /// One of them: the query and what must be answered; nothing is known of an echo.
    pub fn get(&self, query: u32) -> (&[u8], Option<&Expected>) {
        let Asked { start, length, expected } = self.asked[query as usize];
        let start = start as usize;
        let octets = &self.octets[start..start + usize::from(length)];
        (octets, expected.map(|expected| &self.expected[expected as usize]))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.asked.len()
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn each_query_keeps_its_answer() {
        let address = |n: u8| Expected::addresses([IpAddr::from([192, 0, 2, n])]);
        let mut workload = Workload::default();
        workload.ask(b"one", address(1));
        workload.ask(b"another", address(2));
        workload.ask(b"three", address(1));
        assert_eq!(workload.get(0), (&b"one"[..], Some(&address(1))));
        assert_eq!(workload.get(1), (&b"another"[..], Some(&address(2))));
        assert_eq!(workload.get(2), (&b"three"[..], Some(&address(1))));
        assert_eq!((workload.len(), workload.expected.len()), (3, 2), "equal ones are one");
        assert_eq!(workload.echoed().get(1), (&b"another"[..], None));
    }
}
