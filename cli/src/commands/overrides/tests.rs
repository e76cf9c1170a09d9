//! What people read of overrides, and when nothing is done.

use super::*;

fn drain() -> wire::Override {
    wire::Override {
        subject: "europe-west3".into(),
        order: "drain".into(),
        who: "spiffe://test-net.io/user/ada".into(),
        why: "new disks".into(),
        from_unix_ms: 1_796_133_600_000,
        over_ms: 600_000,
        gone: 0.4299,
        ..wire::Override::default()
    }
}

fn said<T>(outcome: Outcome<T>) -> Said<T> {
    Said { server: HostPort::new("127.0.0.21", 7443), outcome }
}

fn done(one: wire::Override) -> Said<wire::OverrideReply> {
    let (node, r#override) = ("ns1".to_owned(), Some(one));
    said(Outcome::Answer(wire::OverrideReply { node, r#override, ..Default::default() }))
}

fn refused(code: Code) -> Said<wire::OverrideReply> {
    said(Outcome::Refusal(code, "nothing usable would be left".into()))
}

fn at(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

#[test]
fn one_no_and_nothing_is_done_anywhere() {
    assert!(goes_on(&[done(drain()), done(drain())]));
    assert!(!goes_on(&[done(drain()), refused(Code::FailedPrecondition)]));
    assert!(goes_on(&[done(drain()), refused(Code::NotFound)]), "lifted there already");
    assert!(!goes_on(&[refused(Code::NotFound)]));
    assert!(goes_on(&[done(drain()), said(Outcome::Nothing("down".into()))]));
    assert!(!goes_on(&[]));
}

#[test]
fn the_exit_code_is_that_of_the_worst_node() {
    let gone = || said::<wire::OverrideReply>(Outcome::Nothing("down".into()));
    assert_eq!(exit(&[done(drain())]), Exit::Ok);
    assert_eq!(exit(&[done(drain()), refused(Code::NotFound)]), Exit::Ok);
    assert_eq!(exit(&[refused(Code::NotFound)]), Exit::Failed);
    assert_eq!(exit(&[done(drain()), refused(Code::FailedPrecondition)]), Exit::Failed);
    assert_eq!(exit(&[refused(Code::FailedPrecondition), gone()]), Exit::Unreachable);
}

#[test]
fn a_change_is_told_with_what_should_be_known() {
    let mut first = done(drain());
    if let Outcome::Answer(answer) = &mut first.outcome {
        answer.replaced = Some(drain());
        answer.notes.push("this node has no [state] dir".into());
    }
    assert_eq!(
        changed(
            &[first, said(Outcome::Nothing("refused\x1b".into()))],
            Change::Said,
            Asked::AndDone,
            at(0)
        ),
        "\
NODE  SUBJECT       ORDER  STATE      SINCE                 UNTIL   BY   WHY
ns1   europe-west3  drain  42 % gone  2026-12-01T14:00:00Z  lifted  ada  new disks
note ns1: takes the place of drain by spiffe://test-net.io/user/ada (new disks)
note ns1: this node has no [state] dir
UNREACHABLE 127.0.0.21:7443: refused
"
    );
    let all = [done(drain()), refused(Code::FailedPrecondition)];
    let text = changed(&all, Change::Said, Asked::InVain, at(0));
    assert!(text.contains("would be left; --yes does it all the same\n"), "{text}");
    assert!(text.ends_with("nothing was changed anywhere\n"), "{text}");
    let dry = changed(&[done(drain())], Change::Said, Asked::Only, at(0));
    assert!(dry.ends_with("a dry run: nothing was changed\n"), "{dry}");
}

#[test]
fn what_is_lifted_is_not_told_as_if_it_stood() {
    let told = |asked| changed(&[done(drain())], Change::Lifted, asked, at(1_796_137_200_000));
    let lifted = told(Asked::AndDone);
    let columns: Vec<&str> = lifted.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        columns[2..6],
        ["drain", "lifted", "2026-12-01T14:00:00Z", "2026-12-01T15:00:00Z"],
        "{lifted}"
    );
    assert!(told(Asked::Only).contains("42 % gone"), "it still stands");
}

#[test]
fn how_far_it_is_is_said_in_words() {
    let now = at(1_796_133_600_000 - 90_500);
    let announced = wire::Override { announced: true, gone: 0.0, ..drain() };
    assert_eq!(state(&announced, now), "begins in 1m 31s");
    assert_eq!(state(&wire::Override { gone: 0.9999, ..drain() }, now), "99 % gone");
    assert_eq!(state(&wire::Override { gone: 1.0, ..drain() }, now), "all gone");
    assert_eq!(state(&wire::Override { order: "force up".into(), ..drain() }, now), "in force");
    assert_eq!(state(&wire::Override { absent: true, ..drain() }, now), "nothing is called so");
}

#[test]
fn lists_say_what_is_not_kept_and_who_is_silent() {
    let reply = wire::OverridesReply { node: "ns1".into(), overrides: vec![], kept: false };
    let text = list(&[said(Outcome::Answer(reply)), said(Outcome::Nothing("down".into()))], at(0));
    assert_eq!(
        text,
        "no overrides\nnote ns1: no [state] dir: a restart forgets them\n\
         UNREACHABLE 127.0.0.21:7443: down\n"
    );
}

#[test]
fn json_has_what_programs_need() {
    let json = serde_json::to_value(change_object(&done(drain()))).unwrap();
    assert_eq!(json["override"]["subject"], "europe-west3");
    assert_eq!(json["node"], "ns1");
    assert!(json["error"].is_null() && json["override"]["until_unix_ms"].is_null());
    let json = serde_json::to_value(change_object(&refused(Code::NotFound))).unwrap();
    assert_eq!(json["error"], "nothing usable would be left");
    assert!(json.get("override").is_none());
}
