//! `falcon-cli submit --file`: the format of `examples/jobs.json`, its bytes kept as they are, and a
//! malformed file refused whole, with line and column, before anything is submitted.

use std::fs;

use crate::harness::wire::Counts;
use crate::harness::*;
use serde_json::json;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/jobs.json");

#[test]
fn the_example_becomes_five_jobs_once() {
    let master = Master::fresh(&[]);
    let run = master.cli(&["--output", "json", "submit", "--file", EXAMPLE]).expect(0);
    let keys = ["welcome-mail-1001", "thumbnail-77", "invoice-2026-11", "reindex", "reminder-9"];
    let answers = run.json();
    let told: Vec<_> = answers.iter().map(|a| text(a, "key")).collect();
    assert_eq!(told, keys);
    assert!(answers.iter().all(|a| a["queue"] == "default" && a["duplicate"] == false));

    let dump = master.dump();
    let settings = ["priority", "max_attempts", "timeout_ms"];
    let expected = [[128, 5, 5_000], [64, 5, 10_000], [128, 3, 5_000], [200, 5, 30_000], [128, 5, 5_000]];
    let payloads = [
        r#"{"to": "ada@example.com", "template": "welcome"}"#,
        r#"{"image": "cat.png", "width": 320}"#,
        r#"{"customer": 42, "month": "2026-11"}"#,
        r#"["users", "orders"]"#,
        r#""call the dentist""#,
    ];
    for (n, record) in dump.of("ENQUEUE").into_iter().enumerate() {
        assert_eq!(record["job"], answers[n]["job"]);
        assert_eq!(text(record, "key"), keys[n]);
        assert_eq!(settings.map(|field| number(record, field)), expected[n]);
        assert_eq!(text(record, "payload"), payloads[n]);
    }
    let reminder = dump.of("ENQUEUE")[4];
    let delay_ms = moment(reminder, "due_at") - moment(reminder, "at");
    assert!((1_500..1_600).contains(&delay_ms), "{delay_ms} ms");

    let again = master.cli(&["--output", "json", "submit", "--file", EXAMPLE]).expect(0).json();
    assert!(again.iter().all(|a| a["duplicate"] == true));
    let ids = |answers: &[serde_json::Value]| answers.iter().map(|a| number(a, "job")).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&answers));
    assert_eq!(master.dump().count("ENQUEUE"), 5);
}

#[test]
fn entries_may_name_their_queue_and_payloads_keep_their_bytes() {
    let payloads = [
        r#"{"b" :  1.0,   "a":"\u00e9\/é", "b": 1e2}"#,
        "12345678901234567890123.4500",
        "[ 1,\n      2 ]",
        "\"größer\"",
        "null",
        "{}",
    ];
    let entries: Vec<String> = payloads
        .iter()
        .enumerate()
        .map(|(n, payload)| {
            let queue = if n % 2 == 0 { "" } else { r#""queue": "of-its-own", "# };
            format!(r#"  {{{queue}"id": "job-{n}", "payload": {payload}, "timeout_ms": 5000}}"#)
        })
        .collect();
    let here = scratch();
    let file = here.path().join("jobs.json");
    fs::write(&file, format!("[\n{}\n]\n", entries.join(",\n"))).unwrap();
    let master = Master::fresh(&[]);
    let ids = master.submit(&["of-the-line", "--file", file.to_str().unwrap()]);
    assert_eq!(ids.len(), payloads.len());
    let dump = master.dump();
    for (n, payload) in payloads.iter().enumerate() {
        let record = dump.last(ids[n], "ENQUEUE");
        assert_eq!(text(record, "payload"), *payload);
        let queue = if n % 2 == 0 { "of-the-line" } else { "of-its-own" };
        assert_eq!(text(record, "queue"), queue);
    }
}

#[test]
fn a_file_of_many_entries_is_submitted_in_its_order() {
    let entries = (0..2_500).map(|n| json!({"id": format!("k{n}"), "payload": n, "timeout_ms": 1000}));
    let here = scratch();
    let file = here.path().join("jobs.json");
    fs::write(&file, json!(entries.collect::<Vec<_>>()).to_string()).unwrap();
    let master = Master::fresh(&["--sync", "never"]);
    let ids = master.submit(&["q", "--file", file.to_str().unwrap()]);
    assert!(ids.len() == 2_500 && ids.is_sorted_by(|a, b| a < b));
    let dump = master.dump();
    let order: Vec<&str> = dump.of("ENQUEUE").iter().map(|record| text(record, "key")).collect();
    assert!(order.iter().enumerate().all(|(n, key)| *key == format!("k{n}")));
}

/// The words on stderr give this line of the file, and a column.
#[track_caller]
fn expect_position(words: &str, line: usize) {
    let as_words = words.contains(&format!("line {line}")) && words.contains("column");
    let marker = format!(":{line}:");
    let as_marker = words.split(&marker).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    assert!(as_words || as_marker, "line {line} and a column in: {words}");
}

/// What is wrong, the line where, and a file with that.
fn malformed_files() -> Vec<(&'static str, usize, String)> {
    let good = |id: &str| format!(r#"{{"id": "{id}", "payload": 1, "timeout_ms": 1000}}"#);
    let third = |entry: &str| format!("[\n  {},\n  {entry},\n  {}\n]\n", good("a"), good("z"));
    let with = |field: &str| third(&format!(r#"{{"id": "b", "payload": 1, {field}}}"#));
    vec![
        ("a syntax error", 3, third(r#"{"id": "b", "payload": tru, "timeout_ms": 1000}"#)),
        ("no comma", 3, format!("[\n  {}\n  {}\n]\n", good("a"), good("b"))),
        ("a wrong type", 3, with(r#""timeout_ms": "soon""#)),
        ("an id that is no text", 3, third(r#"{"id": 7, "payload": 1, "timeout_ms": 1000}"#)),
        ("an entry that is no object", 3, third("7")),
        ("a bad queue name", 3, with(r#""queue": "no spaces""#)),
        ("a priority of 999", 3, with(r#""priority": 999"#)),
        ("a negative time", 3, with(r#""timeout_ms": -5"#)),
        ("a time with a fraction", 3, with(r#""timeout_ms": 1000.5"#)),
        ("a time below its bound", 3, with(r#""timeout_ms": 50"#)),
        ("a delay over its bound", 3, with(r#""delay_ms": 31536000001"#)),
        ("too many attempts", 3, with(r#""max_attempts": 1001"#)),
        ("an unknown field", 3, with(r#""prioritty": 1"#)),
        ("a field twice", 3, with(r#""priority": 1, "priority": 2"#)),
        ("an id twice", 3, third(&good("a"))),
        ("an id with a line end", 3, third(&good(r"b\nc"))),
        ("an id that is too long", 3, third(&good(&"k".repeat(129)))),
        ("no payload", 3, third(r#"{"id": "b", "timeout_ms": 1000}"#)),
        ("no array", 1, good("a")),
        ("no end", 3, format!("[\n  {},\n  {}", good("a"), good("b"))),
        ("words behind the end", 4, format!("[\n  {}\n]\nand more\n", good("a"))),
        ("nothing", 1, String::new()),
    ]
}

#[test]
fn a_malformed_file_is_refused_whole_with_line_and_column() {
    let master = Master::fresh(&[]);
    let here = scratch();
    let file = here.path().join("jobs.json");
    for (what, line, content) in malformed_files() {
        fs::write(&file, &content).unwrap();
        let run = master.cli(&["submit", "q", "--file", file.to_str().unwrap()]);
        assert!([1, 2].contains(&run.status), "{what}: status {}, {}", run.status, run.err);
        assert_eq!(run.out, "", "{what}");
        // Serde counts lines from 1, yet an empty input may be at line 0 or 1.
        if !content.is_empty() {
            expect_position(&run.err, line);
        }
    }
    assert_eq!(master.stats().totals, Counts::default());
    assert_eq!(master.dump().count("ENQUEUE"), 0);
}

#[test]
fn a_malformed_file_is_refused_without_a_master_too() {
    let nobody = Port::reserve();
    let here = scratch();
    let file = here.path().join("jobs.json");
    fs::write(&file, "[\n  {\"id\": \"a\",\n]\n").unwrap();
    let run = cli(&["--master", &nobody.address, "submit", "q", "--file", file.to_str().unwrap()]);
    assert!([1, 2].contains(&run.status), "status {}: {}", run.status, run.err);
    expect_position(&run.err, 3);
}
