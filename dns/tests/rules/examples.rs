//! Reads `records.txt`.

/// One block.
#[derive(Debug, Default)]
pub(crate) struct Example<'a> {
    /// Line of the block's head, from 1.
    pub(crate) line: usize,
    pub(crate) rtype: &'a str,
    pub(crate) text: Option<&'a str>,
    /// Wire form.
    pub(crate) octets: Option<Vec<u8>>,
    /// What the octets look like, where that is not `text`.
    pub(crate) show: Option<&'a str>,
    /// Why it is refused.
    pub(crate) bad: Option<&'a str>,
    /// Programs that have it otherwise.
    #[allow(dead_code, reason = "read by those who run the programs")]
    pub(crate) but: Vec<&'a str>,
}

/// All blocks, and for each program the types it does not know.
pub(crate) fn read(file: &str) -> (Vec<Example<'_>>, Vec<(&str, Vec<&str>)>) {
    let (mut examples, mut unknown) = (Vec::new(), Vec::new());
    for (i, line) in file.lines().enumerate() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next().filter(|word| !word.starts_with('#')) else { continue };
        if first == "unknown" {
            unknown.push((words.next().expect("a program's name"), words.collect()));
            continue;
        }
        if !line.starts_with(' ') {
            examples.push(Example { line: i + 1, rtype: first, ..Example::default() });
            continue;
        }
        let example = examples.last_mut().expect("a block begins with its type");
        let value = line.trim_start()[first.len()..].trim();
        match first {
            "text" => example.text = Some(value),
            "hex" => example.octets = Some(unhex(value)),
            "show" => example.show = Some(value),
            "bad" => example.bad = Some(value),
            "but" => example.but.push(value.split(' ').next().expect("a program's name")),
            other => panic!("line {}: {other}?", i + 1),
        }
    }
    (examples, unknown)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| *octet != b' ').collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).expect("digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
}
