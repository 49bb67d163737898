//! The house stays as it is drawn: who may import whom, where `unsafe` may stand, how long files and functions may
//! be, and that nothing is left open. The table is the one in the crate's documentation.

use std::fs;
use std::path::{Path, PathBuf};

/// Module, the modules of ours that it may use, the outside crates that it may use. Leaves may use leaves.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("address", &[], &[]),
    ("limits", &[], &[]),
    ("ids", &[], &[]),
    ("time", &[], &[]),
    ("codec", &[], &["bytes"]),
    ("job", &[], &[]),
    ("roles", &[], &[]),
    ("rules", &[], &[]),
    ("schedule", &[], &[]),
    ("timing", &[], &["croner", "jiff"]),
    ("block", &[], &["libc", "log", "memmap2"]),
    ("exit", &[], &[]),
    ("nearest", &[], &["strsim"]),
    ("stderr", &["exit"], &["env_logger", "log", "rustix", "serde_json"]),
    ("planted", &[], &[]),
    ("words", &[], &[]),
    ("protocol", &[], &["bytes"]),
    ("queue", &[], &["bytes", "slab"]),
    ("wal", &[], &["bytes", "crc32fast", "memmap2", "rustix", "log"]),
    ("rebuilt", &["queue", "wal"], &[]),
    ("master", &["rebuilt", "queue", "timing", "wal", "protocol"], &["bytes", "crc32fast", "slab", "log"]),
    ("reactor", &["master", "protocol"], &["mio", "rustix", "signal_hook", "signal_hook_mio", "log"]),
    ("client", &["protocol"], &["rustix"]),
    (
        "worker",
        &["client", "protocol"],
        &["base64", "clap", "rustix", "serde", "serde_json", "signal_hook", "tempfile", "log"],
    ),
    ("embedded", &["client", "master", "protocol", "reactor", "wal"], &["log"]),
    ("shapes", &["client", "queue", "protocol"], &["serde", "serde_json"]),
    (
        "http",
        &["client", "embedded", "master", "protocol", "reactor", "shapes"],
        &[
            "axum",
            "crc32fast",
            "hyper",
            "hyper_util",
            "log",
            "prometheus",
            "rustix",
            "serde",
            "serde_json",
            "tokio",
            "tokio_io_timeout",
        ],
    ),
    (
        "cli",
        &["client", "rebuilt", "wal", "queue", "protocol", "shapes"],
        &[
            "clap",
            "clap_complete",
            "indicatif",
            "jiff",
            "ratatui",
            "rustix",
            "serde",
            "serde_json",
            "signal_hook",
            "toml",
            "unicode_width",
        ],
    ),
    (
        "daemon",
        &["client", "embedded", "http", "master", "reactor", "stderr", "wal", "worker"],
        &["clap", "listenfd", "log", "sd_notify", "serde_json", "toml"],
    ),
];
const LEAVES: &[&str] = &[
    "address", "limits", "ids", "time", "codec", "job", "roles", "rules", "schedule", "block", "exit", "nearest",
    "planted", "words",
];
const CRATES: &[&str] = &[
    "axum",
    "base64",
    "bytes",
    "clap",
    "clap_complete",
    "crc32fast",
    "croner",
    "env_logger",
    "hyper",
    "hyper_util",
    "indicatif",
    "jiff",
    "libc",
    "listenfd",
    "log",
    "memmap2",
    "mio",
    "prometheus",
    "ratatui",
    "rustix",
    "sd_notify",
    "serde",
    "serde_json",
    "signal_hook",
    "signal_hook_mio",
    "slab",
    "strsim",
    "tokio",
    "tokio_io_timeout",
    "toml",
    "unicode_width",
];
/// Lines of a file, lines of a function and bytes of a line, at most.
const SIZES: &[(&str, usize, usize, usize)] = &[
    ("src", 450, 40, 120),
    ("tests", 450, 40, 120),
    ("bench", 450, 71, 120),
    ("fuzz/src", 450, 40, 120),
    ("fuzz/targets", 450, 40, 120),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The module that a file of `src` belongs to.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Code without comments and without the tests at the file's end.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The word after each occurrence of `prefix`.
fn words_after<'t>(code: &'t str, prefix: &str) -> Vec<&'t str> {
    let end_of_word = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    code.split(prefix).skip(1).map(|rest| &rest[..end_of_word(rest)]).filter(|word| !word.is_empty()).collect()
}

#[test]
fn nothing_imports_upward() {
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let module = module_of(&file);
        let Some((_, ours, outside)) = LAYERS.iter().find(|(name, _, _)| *name == module) else {
            assert!(["lib", "bin"].contains(&module.as_str()), "module {module} is not in the table");
            continue;
        };
        if file.ends_with("tests.rs") {
            continue;
        }
        let code = code_of(&file);
        for word in words_after(&code, "crate::") {
            let is_module = LAYERS.iter().any(|(name, _, _)| *name == word);
            if is_module && word != module && !ours.contains(&word) && !LEAVES.contains(&word) {
                wrong.push(format!("{} uses {word}", file.display()));
            }
        }
        for name in CRATES {
            let used = code.contains(&format!("{name}::")) && !code.contains(&format!("mod {name};"));
            if used && !outside.contains(name) {
                let inner = [format!("::{name}::"), format!("self::{name}::")];
                if !inner.iter().any(|path| code.contains(path.as_str())) {
                    wrong.push(format!("{} uses the crate {name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The parts of the master, and what each knows nothing of: the table in `src/master/mod.rs`.
const PARTS: &[(&str, &[&str])] = &[
    ("journal.rs", &["protocol", "sessions", "parked", "answers", "dispatch", "keeping"]),
    ("decisions", &["frame", "outbox", "Stream", "IoSlice", "bytes::"]),
    ("answers.rs", &["journal", "queue", "parked"]),
    ("sessions.rs", &["journal", "queue", "parked", "keeping"]),
    ("parked.rs", &["wal", "journal", "sessions", "protocol"]),
    ("dispatch.rs", &["wal", "journal", "sessions", "protocol"]),
    ("measures", &["protocol", "sessions", "parked", "answers", "dispatch", "keeping", "wal"]),
    ("keeping", &["protocol", "sessions", "parked", "answers", "dispatch"]),
    ("reading", &["protocol", "sessions", "parked", "answers", "dispatch", "keeping"]),
];

#[test]
fn no_part_of_the_master_knows_more_than_it_may() {
    let dir = root().join("src/master");
    for (part, unknown) in PARTS {
        let path = dir.join(part);
        let files = if path.is_dir() { rust_files(&path) } else { vec![path] };
        for file in files {
            let code = code_of(&file);
            let uses: Vec<&str> = code
                .lines()
                .filter(|line| line.trim_start().starts_with("use ") || line.contains("::"))
                .flat_map(|line| unknown.iter().filter(move |word| names(line, word)))
                .copied()
                .collect();
            assert!(uses.is_empty(), "{} knows of {uses:?}", file.display());
        }
    }
}

/// Whether a line names this module or type on a path.
fn names(line: &str, word: &str) -> bool {
    let paths = [format!("::{word}::"), format!("::{word};"), format!("{{{word}::"), format!(" {word}::")];
    paths.iter().any(|path| line.contains(path.as_str()))
}

#[test]
fn unsafe_stands_in_two_files_each_with_its_reason() {
    for file in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let uses = text.lines().filter(|line| line.contains("unsafe {")).count();
        let reasons = text.matches("// SAFETY:").count();
        let allowed = file.ends_with("wal/device/mapped.rs") || file.ends_with("src/block.rs");
        assert!(uses == 0 || (allowed && uses == reasons), "{}: {uses} uses, {reasons} reasons", file.display());
    }
}

#[test]
fn only_the_clock_reads_the_time_in_the_daemon() {
    for file in rust_files(&root().join("src")) {
        let module = module_of(&file);
        let pure = ["limits", "ids", "time", "codec", "protocol", "queue", "wal", "master"].contains(&module.as_str());
        let code = code_of(&file);
        let reads = code.contains("Instant::now") || code.contains("SystemTime::now");
        assert!(!(pure && reads), "{} reads a clock", file.display());
        let is_reactor = module == "reactor" && !file.ends_with("clock/mod.rs");
        assert!(!(is_reactor && code.contains("SystemTime::now")), "{} reads the wall's clock", file.display());
    }
}

/// How many lines the function has that begins here, if one does.
fn function_lines(lines: &[&str]) -> Option<usize> {
    let trimmed = lines[0].trim_start();
    let keywords = ["fn ", "pub fn ", "pub(super) fn ", "pub(crate) fn "];
    let begins = keywords.iter().any(|keyword| trimmed.starts_with(keyword));
    let is_whole = trimmed.ends_with(';') || trimmed.ends_with('}');
    let closing = format!("{}}}", " ".repeat(lines[0].len() - trimmed.len()));
    let end = lines.iter().position(|line| *line == closing)?;
    (begins && !is_whole).then_some(end + 1)
}

#[test]
fn files_and_functions_stay_short() {
    let mut long = Vec::new();
    for (dir, file_lines_max, function_lines_max, line_bytes_max) in SIZES {
        for file in rust_files(&root().join(dir)) {
            let text = fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            if lines.len() > *file_lines_max {
                long.push(format!("{}: {} lines", file.display(), lines.len()));
            }
            for (start, line) in lines.iter().enumerate() {
                let place = format!("{}:{}", file.display(), start + 1);
                if line.len() > *line_bytes_max {
                    long.push(format!("{place}: {} bytes", line.len()));
                }
                let length = function_lines(&lines[start..]).unwrap_or(0);
                if length > *function_lines_max {
                    long.push(format!("{place}: a function of {length} lines"));
                }
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// The page and its tests: like all else, lines of 120 bytes, files of 450 lines and functions of 40.
#[test]
fn what_browsers_run_is_short_too() {
    let root = root();
    let dirs = ["src/http/page/web", "src/http/page/web/pages", "src/http/page/web/parts", "tests/browser"];
    let all = dirs.iter().flat_map(|dir| fs::read_dir(root.join(dir)).unwrap()).map(|entry| entry.unwrap().path());
    let mut long = Vec::new();
    for file in
        all.filter(|file| file.extension().is_some_and(|ending| ["js", "mjs", "css"].iter().any(|it| ending == *it)))
    {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let wide = lines.iter().position(|line| line.len() > 120).map(|at| format!("line {} is wide", at + 1));
        let high = (lines.len() > 450).then(|| format!("{} lines", lines.len()));
        let functions = lines.iter().enumerate().filter(|(_, line)| line.contains("function ") && line.ends_with('{'));
        let too_long = functions.filter_map(|(at, line)| {
            let closing = format!("{}}}", " ".repeat(line.len() - line.trim_start().len()));
            let end = lines[at..].iter().position(|line| *line == closing)?;
            (end >= 40).then(|| format!("line {}: a function of {} lines", at + 1, end + 1))
        });
        long.extend(wide.into_iter().chain(high).chain(too_long).map(|what| format!("{}: {what}", file.display())));
        assert!(!text.contains("//# sourceMapping") && !text.contains(&("TO".to_owned() + "DO")), "{}", file.display());
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn nothing_is_left_open() {
    let marks = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "todo".to_owned() + "!(", "dbg".to_owned() + "!("];
    for dir in ["src", "tests", "bench", "fuzz/src", "fuzz/targets"] {
        for file in rust_files(&root().join(dir)) {
            let text = fs::read_to_string(&file).unwrap();
            for mark in &marks {
                assert!(!text.contains(mark.as_str()), "{} has a {mark}", file.display());
            }
        }
    }
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut in_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && !line.trim().is_empty() {
            assert!(line.contains(" # "), "no word about {line}");
        }
    }
}
