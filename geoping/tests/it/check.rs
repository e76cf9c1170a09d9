//! `--check`, and what is refused before a port is bound.

use std::process::Output;

use tokio::net::TcpListener;

use crate::harness::{Site, config, geoping, within};

#[tokio::test]
async fn a_right_configuration_is_said_to_be_right_and_nothing_is_started() {
    let site = Site::new();
    site.configure("", "", "");
    let output = run(&site, &["--check"], &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no mistakes"));
}

#[tokio::test]
async fn mistakes_end_with_64_their_place_and_a_caret() {
    let site = Site::new();
    site.write("garbage.mmdb", "not a database");
    site.write("garbage.key", "not a key");
    let cases = [
        ("region = 'x'", "", "", "geoping.toml:5:1: "),
        ("capcity = 1", "", "", "geoping.toml:5:1: "),
        ("capacity = 'many'", "", "", "geoping.toml:5:12: "),
        ("", "", "[backend]\ntcp = 'nowhere'", "not of the form host:port"),
        ("", "", "[geo]\ndatabase = ['missing.mmdb']", "missing.mmdb"),
        ("", "", "[geo]\ndatabase = ['garbage.mmdb']", "garbage.mmdb"),
        ("", "", "[log]\nlevel = 'loud'", "level 'loud'"),
    ];
    for (node, listen, behind, expected) in cases {
        site.configure(node, listen, behind);
        refused(&run(&site, &["--check"], &[]).await, expected);
    }
    for (from, to, expected) in [
        ("us-central1", "us-cental1", "did you mean 'us-central1'?"),
        ("node.crt", "missing.crt", "missing.crt"),
        ("node.key", "garbage.key", "garbage.key"),
        ("[tls]\ncert = 'node.crt'\nkey = 'node.key'\nca = 'ca.crt'", "", "there is no [tls]"),
    ] {
        site.write("geoping.toml", config("", "", "").replace(from, to));
        refused(&run(&site, &["--check"], &[]).await, expected);
    }
}

#[tokio::test]
async fn an_override_that_is_wrong_is_named() {
    let site = Site::new();
    site.configure("", "", "");
    let flag = run(&site, &["--check", "--set", "node.capacity=many"], &[]).await;
    refused(&flag, "node.capacity");
    let variable = run(&site, &["--check"], &[("GEOPING__NODE__CAPACITY", "many")]).await;
    refused(&variable, "GEOPING__NODE__CAPACITY");
    let right = run(&site, &["--check", "--set", "node.capacity=7"], &[]).await;
    assert_eq!(right.status.code(), Some(0), "{}", errors(&right));
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_before_a_port_is_bound() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = format!("listen.grpc={}", taken.local_addr().unwrap());
    site.configure("", "", "[geo]\ndatabase = ['missing.mmdb']");
    refused(&run(&site, &["--set", &port], &[]).await, "missing.mmdb");
    site.configure("", "", "");
    // The system's refusal is no bug of ours: one line, however much is to be told of bugs.
    let output = run(&site, &["--set", &port], &[("RUST_BACKTRACE", "1")]).await;
    assert_eq!(output.status.code(), Some(71), "{}", errors(&output));
    let errors = errors(&output);
    assert!(errors.starts_with("geoping: cannot listen on 127.0.0.1:"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

async fn run(site: &Site, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = geoping();
    command.arg("--config").arg(site.path("geoping.toml")).args(arguments);
    command.envs(variables.iter().copied());
    within(command.output()).await.unwrap()
}

fn refused(output: &Output, expected: &str) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    assert!(errors.contains(expected), "{errors}\nlacks {expected:?}");
    assert!(errors.contains('^'), "no caret in\n{errors}");
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
