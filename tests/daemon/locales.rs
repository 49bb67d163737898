//! What is told is the same in every locale: numbers, moments and texts go by no other rules, neither in Turkish, where
//! the capital of i is İ, nor in German, where one and a half is 1,5, nor where text is not UTF-8.

use std::path::Path;
use std::process::Command;

use crate::harness::*;

/// A locale, what its definition is called, and its character set.
const LOCALES: [(&str, &str, &str); 3] =
    [("tr_TR.UTF-8", "tr_TR", "UTF-8"), ("de_DE.UTF-8", "de_DE", "UTF-8"), ("de_DE.ISO-8859-1", "de_DE", "ISO-8859-1")];

/// Makes a locale in this directory. Where the system lacks its definition, programs find no such locale.
fn make(dir: &Path, (name, definition, charset): (&str, &str, &str)) {
    let made = Command::new("localedef").args(["-i", definition, "-f", charset]).arg(dir.join(name)).output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("{name} is not known here");
    }
}

/// What a command tells in a locale of this directory: exit status, stdout and stderr.
fn told_in(locale: &str, dir: &Path, args: &[&str]) -> (i32, String, String) {
    let env = [("LC_ALL", locale), ("LOCPATH", dir.to_str().unwrap()), ("LANGUAGE", "de")];
    let run = cli_with(args, &env, b"");
    (run.status, run.out, run.err)
}

#[test]
fn what_is_told_is_the_same_in_every_locale() {
    let (master, dir, out) = (Master::fresh(&[]), scratch(), scratch());
    for locale in LOCALES {
        make(dir.path(), locale);
    }
    master.submit_input(&["INFO.mail", "--lines", "-"], "x\n".repeat(1500).as_bytes());
    let mut wire = master.connect();
    let failed = wire.put_and_take("big");
    wire.fail(&failed, true, "İstanbul: ığdır, Straße");
    let (data, missing) = (master.dir.to_str().unwrap(), out.path().join("missing"));
    let dead = failed.job.to_string();
    let commands: [&[&str]; 14] = [
        &["stats", "--output", "quiet"],
        &["queue", "list", "--output", "quiet"],
        &["job", "list", "--state", "dead", "--output", "json"],
        &["job", "list", "--limit", "3", "--output", "quiet"],
        &["job", "log", &dead],
        &["job", "log", &dead, "--output", "json"],
        &["wal", "dump", data, "--event", "Dead", "--utc"],
        &["wal", "dump", data, "--event", "enqueue", "--limit", "3"],
        &["wal", "stats", data],
        &["submit", "--help"],
        &["job", "show", "ı"],
        &["job", "list", "--since", "1,5h"],
        &["submit", "big", "--payload-file", missing.to_str().unwrap()],
        &["no-such-command"],
    ];
    for command in commands {
        let args = [&["--master", &master.address], command].concat();
        let told = |locale: &str| told_in(locale, dir.path(), &args);
        let plain = told("C");
        assert!(!plain.1.is_empty() || !plain.2.is_empty(), "{command:?} tells nothing");
        for (locale, ..) in LOCALES {
            assert_eq!(told(locale), plain, "{command:?} in {locale}");
        }
    }
}
