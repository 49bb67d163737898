//! What is shipped beside the programs names settings and options that they have, and the defaults that they have.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::*;

fn shipped(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(program: &str, args: &[&str]) -> Run {
    Process::spawn(Command::new(program).args(args).env("COLUMNS", "100"), b"").finish()
}

/// Each setting of `falcond` with its default; none for one that is not set.
fn defaults() -> BTreeMap<String, Option<String>> {
    let told = run(FALCOND, &["--print-config"]).expect(0).out;
    let setting = |line: &str| {
        let (setting, _) = line.split_once("  # ").expect("where it came from");
        let (name, value) = setting.trim_start_matches("# ").split_once(" =").expect("a name");
        (name.to_owned(), Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
    };
    told.lines().map(setting).collect()
}

/// The settings of a file in which some are commented out; those are told by `true`.
fn settings(text: &str) -> BTreeMap<&str, (bool, &str)> {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut all = BTreeMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(" = ")) {
        let bare = name.trim_start_matches('#');
        if is_name(bare) {
            all.insert(bare, (bare != name, value));
        }
    }
    all
}

#[test]
fn the_shipped_settings_are_all_there_are_with_their_defaults() {
    let text = shipped("falcond.toml");
    let (told, defaults) = (settings(&text), defaults());
    assert_eq!(told.keys().collect::<Vec<_>>(), defaults.keys().collect::<Vec<_>>());
    for (name, (is_default, value)) in told {
        let default = defaults[name].as_deref().map(|text| text.replace('"', ""));
        let is_so = default.is_none_or(|default| default == value.replace('"', ""));
        assert!(!is_default || is_so, "{name} = {value}, and the default is {:?}", defaults[name]);
    }
}

#[test]
fn the_shipped_settings_can_be_used_and_so_can_those_that_are_commented_out() {
    let dir = scratch();
    let (file, token) = (dir.path().join("falcond.toml"), dir.path().join("token"));
    fs::write(&token, "secret").unwrap();
    let text = shipped("falcond.toml");
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => setting,
        _ => line,
    });
    let all = lines.collect::<Vec<_>>().join("\n").replace("/etc/falcon/token", token.to_str().unwrap());
    for text in [text, all] {
        fs::write(&file, text).unwrap();
        let run = run(FALCOND, &["--config", file.to_str().unwrap(), "--check-config"]).expect(0);
        assert!(run.err.contains("can be used"), "{}", run.err);
    }
}

/// The options in a line, without their values.
fn options(line: &str) -> impl Iterator<Item = &str> {
    let is_in_word = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = line.split(move |c: char| !is_in_word(c));
    words.filter(|word| word.len() > 2 && word.starts_with("--"))
}

#[test]
fn units_name_options_that_exist() {
    let (daemon, worker) = (run(FALCOND, &["--help"]).expect(0).out, run(FALCON_WORKER, &["--help"]).expect(0).out);
    let unknown = |files: &[&str], help: &str| {
        let texts: Vec<String> = files.iter().map(|file| shipped(file)).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        let ours = lines.filter(|line| line.contains("ExecStart=") || line.contains("WORKER_OPTIONS="));
        let named: Vec<&str> = ours.flat_map(options).collect();
        assert!(!named.is_empty(), "{files:?} name no options");
        named.into_iter().filter(|option| !options(help).any(|known| known == *option)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(unknown(&["systemd/falcond.service"], &daemon), "");
    assert_eq!(unknown(&["systemd/falcon-worker@.service", "worker.env"], &worker), "");
}

/// What is done beside the loop goes at a lower priority; the filter of system calls takes that away with others, and
/// has to give it back.
#[test]
fn the_unit_of_the_master_lets_its_threads_be_nice() {
    let unit = shipped("systemd/falcond.service");
    let filters: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    let place = |what: &str| filters.iter().position(|filter| filter.split(' ').any(|word| word == what));
    let (taken, given) = (place("@resources").expect("a filter"), place("setpriority").expect("an exception"));
    assert!(filters[taken].starts_with('~') && taken < given, "{filters:?}");
}

#[test]
fn images_name_settings_that_exist() {
    let known = defaults();
    for file in ["Dockerfile", "compose.yaml"] {
        let text = shipped(file);
        let names = text.split("FALCOND_").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
            rest[..end].to_lowercase().replace('_', "-")
        });
        for name in names {
            assert!(known.contains_key(&name), "{file} sets {name}");
        }
    }
}
