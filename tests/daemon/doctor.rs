//! What `falcon-cli doctor` finds, and what shells and man pages are made of.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::harness::*;

/// The findings by what they are about.
fn findings(run: &Run) -> Vec<(String, String)> {
    let both = |line: &serde_json::Value| (text(line, "what").to_owned(), text(line, "grade").to_owned());
    run.json().iter().map(both).collect()
}

#[test]
fn it_finds_what_would_be_a_problem() {
    let master = Master::fresh(&["--sync", "never"]);
    master.submit(&["mail", "x"]);
    let run = master.cli(&["-o", "json", "doctor"]).expect(0);
    let found = findings(&run);
    let grade = |what: &str| found.iter().find(|(known, _)| known == what).map(|(_, grade)| grade.as_str());
    for what in ["connection", "version", "clocks", "open files", "drain"] {
        assert_eq!(grade(what), Some("ok"), "{what}: {}", run.out);
    }
    for what in ["token", "sync", "workers"] {
        assert_eq!(grade(what), Some("warning"), "{what}: {}", run.out);
    }
    assert!(run.out.contains("1 ready job of queue mail and no worker"), "{}", run.out);
    assert!(master.cli(&["doctor"]).expect(0).out.contains("falcond --sync always does not"));
}

#[test]
fn quietly_it_says_only_what_is_not_well_and_a_master_that_is_not_there_is_69() {
    let dir = scratch();
    let token = dir.path().join("token");
    fs::write(&token, "secret").unwrap();
    let known = token.to_str().unwrap();
    let master = Master::fresh(&["--token-file", known]);
    let run = master.cli(&["--token-file", known, "-o", "json", "doctor", "--quiet"]).expect(0);
    let found = findings(&run);
    assert!(found.iter().all(|(_, grade)| grade != "ok"), "{}", run.out);
    assert!(found.iter().any(|(what, _)| what == "token file"), "others can read it: {}", run.out);
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    let told = master.cli(&["--token-file", known, "doctor", "--quiet"]).expect(0).out;
    // A machine that is busy may be slow; without anything to say not even the heading is written.
    assert!(told.is_empty() || told.lines().count() > 1, "{told}");
    master.cli(&["doctor"]).expect(77);
    cli(&["--master", "127.0.0.1:1", "--retry-for", "0s", "doctor"]).expect(69);
}

#[test]
fn shells_are_told_of_each_command() {
    for shell in ["bash", "zsh", "fish"] {
        let run = cli(&["completions", shell]).expect(0);
        assert!(run.out.contains("falcon-cli") && run.out.contains("requeue"), "{shell}");
    }
    cli(&["completions", "tcsh"]).expect(2);
}
