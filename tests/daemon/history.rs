//! `GET /api/v1/history`: the totals of the last hour, from the moment on when the master serves.

use serde_json::{Value, json};

use crate::harness::SOON;
use crate::harness::http::HttpMaster;
use crate::harness::{number, wait_for};

const COLUMNS: [&str; 8] = ["at", "pending", "delayed", "waiting", "in_flight", "dead", "submitted", "ended"];

/// What is told once there are so many samples.
fn with_samples(web: &HttpMaster, count: usize) -> Value {
    wait_for("so many samples", 3 * SOON, || {
        let told = web.get("/api/v1/history").expect(200).json();
        (told["at"].as_array().map_or(0, Vec::len) >= count).then_some(told)
    })
}

#[test]
fn a_first_sample_is_there_at_once_and_the_next_after_its_time() {
    let web = HttpMaster::fresh(&[]);
    let first = with_samples(&web, 1);
    assert_eq!(number(&first, "every_ms"), 10_000);
    for name in &COLUMNS[1..] {
        assert_eq!(first[name], json!([0]), "{name}");
    }
    let mut wire = web.master.connect();
    let done = wire.put_and_take("q");
    wire.ack(&done);
    let dead = wire.put_and_take("q");
    wire.fail(&dead, true, "no");
    wire.put_and_take("q");
    web.master.submit(&["q", "ready"]);
    web.master.submit(&["q", "later", "--delay", "1h"]);
    web.master.submit(&["q", "after", "--after", "4"]);
    let told = with_samples(&web, 2);
    let last = |name: &str| told[name].as_array().and_then(|column| column.last()).cloned().unwrap_or_default();
    let totals = COLUMNS[1..].iter().map(|name| last(name)).collect::<Vec<_>>();
    assert_eq!(totals, [1, 1, 1, 1, 1, 6, 2].map(Value::from), "{told}");
    for name in COLUMNS {
        assert_eq!(told[name].as_array().map(Vec::len), told["at"].as_array().map(Vec::len), "{name}");
    }
    assert!(told["at"][0].as_str() < told["at"][1].as_str(), "{told}");
    web.master.stop();
}
