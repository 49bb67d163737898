//! Roles, by real processes: what each may do and what not, over the wire and by `falcon-cli`, and a reload.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::harness::wire::*;
use crate::harness::{Master, SOON, scratch, wait_until};

const TOKENS: &str =
    "# who may what\nboard:read:r-secret\nshop:submit:s-secret\nhosts:work:w-secret\nops:admin:a-secret\n";

/// A master with a token of each role, and a client's file for each.
struct Guarded {
    dir: tempfile::TempDir,
    master: Master,
}

impl Guarded {
    fn start() -> Guarded {
        let dir = scratch();
        fs::write(dir.path().join("tokens"), TOKENS).unwrap();
        let path = dir.path().join("tokens");
        let master = Master::fresh(&["--token-file", path_of(&path), "--log", "info"]);
        Guarded { dir, master }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A connection that said the token of this role.
    fn wire(&self, secret: &str) -> Wire {
        let mut wire = Wire::silent(&self.master.address);
        assert!(matches!(wire.ask(&hello(secret.as_bytes())), Reply::HelloOk { .. }));
        wire
    }

    /// Status and words of a command with this token.
    fn cli(&self, secret: &str, args: &[&str]) -> (i32, String) {
        let mine = self.file("mine", secret);
        let run = self.master.cli(&[&["--token-file", path_of(&mine)], args].concat());
        (run.status, run.err)
    }
}

fn path_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What each role is asked, and the role that it takes.
fn asked() -> Vec<(&'static str, Request)> {
    vec![
        ("read", stats()),
        ("read", get(1)),
        ("read", workers("")),
        ("read", list_jobs(&Filter::default(), 0, false, 10)),
        ("read", sign_of_life(false)),
        ("submit", submit(&[job("q", "x")])),
        ("submit", begin_batch("b")),
        ("work", poll(&["q"], 1, 0, 1000)),
        ("work", ack(&[(1, 1, b"")])),
        ("work", fail(&[(1, 1, false, "no")])),
        ("work", release(1, 1, 0)),
        ("work", heartbeat(&[(1, 1)])),
        ("work", progress(1, 1, 50, "half")),
        ("work", ack_then(1, 1, b"", &[job("q", "x")])),
        ("admin", pause("q", 3, 0, "night")),
        ("admin", mend(1, &[1])),
        ("admin", set_queue("q", &QueueSettings::default())),
        ("admin", put_schedule("s", &every("q", 60_000), true)),
        ("admin", order("", 1)),
        ("admin", drain(false)),
        ("admin", Request::new(9, Body::default().plain())),
    ]
}

#[test]
fn each_role_is_let_do_what_it_may_and_told_what_it_lacks() {
    let guarded = Guarded::start();
    for (role, holder, secret) in [
        ("read", "board", "r-secret"),
        ("submit", "shop", "s-secret"),
        ("work", "hosts", "w-secret"),
        ("admin", "ops", "a-secret"),
    ] {
        let mut wire = guarded.wire(secret);
        for (needed, request) in asked() {
            let may = role == "admin" || needed == "read" || needed == role;
            let reply = wire.ask(&request);
            if may {
                assert!(!is_error(&reply, FORBIDDEN), "{role}, kind {}: {reply:?}", request.kind);
                continue;
            }
            let text = expect_error(reply, FORBIDDEN);
            let said = format!("this needs the role {needed}; the token \"{holder}\" has the role {role}");
            assert_eq!(text, said, "kind {}", request.kind);
        }
        // It goes on, since no refusal has closed it.
        assert!(matches!(wire.ask(&stats()), Reply::StatsOk { .. }));
    }
    guarded.master.stop();
}

#[test]
fn the_programs_say_which_role_is_missing() {
    let guarded = Guarded::start();
    let denied = |secret: &str, args: &[&str], role: &str| {
        let (status, said) = guarded.cli(secret, args);
        assert_eq!(status, 77, "{args:?}: {said}");
        assert!(said.contains(&format!("this needs the role {role}; the token")), "{args:?}: {said}");
    };
    let done = |secret: &str, args: &[&str]| assert_eq!(guarded.cli(secret, args).0, 0, "{args:?}");
    done("s-secret", &["submit", "q", "x"]);
    done("r-secret", &["job", "show", "1"]);
    done("a-secret", &["queue", "pause", "q"]);
    done("a-secret", &["queue", "resume", "q"]);
    denied("r-secret", &["submit", "q", "x"], "submit");
    denied("w-secret", &["submit", "q", "x"], "submit");
    denied("s-secret", &["queue", "pause", "q"], "admin");
    denied("w-secret", &["job", "cancel", "1"], "admin");
    let log = guarded.master.stderr();
    let told = log.lines().any(|line| line.contains("queue q goes on") && line.ends_with("(token \"ops\")"));
    assert!(told, "{log}");

    let mine = guarded.file("of-shop", "shop:submit:s-secret\n");
    let refused = guarded.master.worker(&["--queue", "q", "--token-file", path_of(&mine)], &["cat"]).finish();
    assert_eq!(refused.status, 77, "{}", refused.err);
    assert!(
        refused.err.contains("this needs the role work; the token \"shop\" has the role submit"),
        "{}",
        refused.err
    );
    let mine = guarded.file("of-hosts", "w-secret");
    let _worker = guarded.master.worker(&["--queue", "q", "--token-file", path_of(&mine)], &["cat"]);
    let mut wire = guarded.wire("r-secret");
    wait_until("the ack", SOON, || wire.stats().totals.completed == 1);
    guarded.master.stop();
}

#[test]
fn a_client_that_is_given_the_tokens_of_several_is_told_what_to_do() {
    let guarded = Guarded::start();
    let (status, said) = guarded.cli(TOKENS, &["stats"]);
    assert!(status == 2 && said.contains("has the tokens of several; write your own"), "{status}: {said}");
    assert_eq!(guarded.cli("board:read:r-secret\n", &["stats"]).0, 0);
    guarded.master.stop();
}

#[test]
fn a_reload_holds_for_those_who_come_after_it() {
    let guarded = Guarded::start();
    let mut before = guarded.wire("s-secret");
    guarded.file("tokens", "shop:read:s-secret\n");
    guarded.master.signal(Signal::HUP);
    wait_until("the reload", SOON, || guarded.master.stderr().contains("the tokens were read"));
    assert!(matches!(before.ask(&submit(&[job("q", "x")])), Reply::SubmitOk { .. }), "it keeps its role");
    let mut after = guarded.wire("s-secret");
    expect_error(after.ask(&submit(&[job("q", "x")])), FORBIDDEN);
    let mut unknown = Wire::silent(&guarded.master.address);
    expect_error(unknown.ask(&hello(b"a-secret")), UNAUTHORIZED);
    guarded.file("tokens", "shop:raed:s-secret\n");
    guarded.master.signal(Signal::HUP);
    let word = "line 1 has no role that is known, \"raed\"";
    wait_until("the refusal", SOON, || guarded.master.stderr().contains(word));
    guarded.master.stop();
}
