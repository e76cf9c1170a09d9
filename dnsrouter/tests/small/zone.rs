//! A small zone to be served, and questions to it as octets.

use std::sync::{Arc, LazyLock};

use dnsrouter::plan::{Generation, Published};
use dnsrouter::verdicts::Health;

use crate::site;

const CONFIG: &str = r#"
[node]
name = "ns1"
region = "us-central1"
[listen]
dns = ["127.0.0.1:0"]
[[zone]]
name = "test-net.io"
file = "zone"
"#;

/// One for all tests: the built-in country database takes a while to load. `ns1` has the address
/// 192.0.2.53, and `large` 50 kB of text.
pub(crate) static PLAN: LazyLock<Arc<Published>> = LazyLock::new(|| {
    let text = format!("\"{}\" ", "x".repeat(250)).repeat(200);
    let zone =
        format!("$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\nlarge TXT {text}\n");
    let loaded = site::loaded(CONFIG, &zone);
    Arc::new(Published::new(loaded.inputs(Generation(1)), Health::default()))
});

/// A query with this id for `label`.test-net.io.
pub(crate) fn query(id: u16, label: &str, rtype: u8) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in [label, "test-net", "io"] {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, rtype, 0, 1]);
    bytes
}

/// The same with a transaction signature, of a key that nobody has: to be deferred.
pub(crate) fn signed(id: u16, label: &str, rtype: u8) -> Vec<u8> {
    let mut bytes = query(id, label, rtype);
    bytes[11] = 1;
    // Owner "k.", TSIG, ANY, TTL 0; algorithm ".", time, fudge, no MAC, the id, no error, no more.
    bytes.extend([1, b'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 17]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 1, 44, 0, 0]);
    bytes.extend(id.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}
