//! `/metrics`: held against the real checker, and scraped by a real Prometheus.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use falconqueue::client::{Client, Histogram, Remote};
use serde_json::json;

use crate::harness::http::{Answer, Ask, HttpMaster};
use crate::harness::{SOON, scratch, wait_until};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/monitoring/falconqueue.rules.yml");
const RULES_TEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/monitoring/falconqueue.rules.test.yml");
const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/monitoring/grafana.json");

/// Classes of answers.
const CODES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A master in which each kind of thing has happened.
fn lived(args: &[&str]) -> HttpMaster {
    let web = HttpMaster::fresh(args);
    let submit = |queue: &str| web.ask(&Ask::new("POST", &format!("/api/v1/queues/{queue}/jobs")).body(b"x"));
    for _ in 0..4 {
        submit("mail").expect(201);
    }
    submit("bulk-2").expect(201);
    let polled = web.send("POST", "/api/v1/poll", &json!({"queues": ["mail"], "max": 3})).expect(200).json();
    let item = |place: usize| json!({"job": polled["jobs"][place]["job"], "lease": polled["jobs"][place]["lease"]});
    web.send("POST", "/api/v1/ack", &json!({"items": [item(0)]})).expect(200);
    let mut failed = item(1);
    failed["error"] = "no route".into();
    failed["for_good"] = true.into();
    web.send("POST", "/api/v1/fail", &json!({"items": [failed]})).expect(200);
    web.send("PATCH", "/api/v1/queues/mail/settings", &json!({"running_max": 7, "rate": "100/s"})).expect(200);
    web.send("PUT", "/api/v1/schedules/nightly", &json!({"queue": "mail", "cron": "0 3 * * *"})).expect(200);
    web
}

fn page(web: &HttpMaster) -> String {
    let answer = web.get("/metrics").expect(200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"), "{:?}", answer.headers);
    answer.text()
}

/// The value of a line that begins so.
#[track_caller]
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series}\n{page}"));
    line.trim().parse().unwrap_or_else(|error| panic!("{series}: {error}: {line}"))
}

#[test]
fn what_happened_is_told() {
    let web = lived(&[]);
    let page = page(&web);
    for (series, expected) in [
        ("falconqueue_jobs{queue=\"mail\",state=\"ready\"}", 1.0),
        ("falconqueue_jobs{queue=\"mail\",state=\"in_flight\"}", 1.0),
        ("falconqueue_jobs{queue=\"mail\",state=\"dead\"}", 1.0),
        ("falconqueue_jobs{queue=\"_other\",state=\"ready\"}", 0.0),
        ("falconqueue_jobs_submitted_total{queue=\"mail\"}", 4.0),
        ("falconqueue_jobs_delivered_total{queue=\"mail\"}", 3.0),
        ("falconqueue_jobs_acked_total{queue=\"mail\"}", 1.0),
        ("falconqueue_jobs_failed_total{queue=\"mail\"}", 1.0),
        ("falconqueue_jobs_dead_total{queue=\"mail\",reason=\"for_good\"}", 1.0),
        ("falconqueue_queue_running_max{queue=\"mail\"}", 7.0),
        ("falconqueue_job_wait_seconds_count{queue=\"mail\"}", 3.0),
        ("falconqueue_job_run_seconds_count{queue=\"mail\"}", 2.0),
        ("falconqueue_job_run_seconds_bucket{queue=\"mail\",le=\"+Inf\"}", 2.0),
        ("falconqueue_jobs_submitted_total{queue=\"bulk-2\"}", 1.0),
        ("falconqueue_schedule_paused{schedule=\"nightly\"}", 0.0),
        ("falconqueue_draining", 0.0),
    ] {
        assert!((value(&page, series) - expected).abs() < 1e-9, "{series} is {}", value(&page, series));
    }
    assert!(value(&page, "falconqueue_oldest_running_seconds{queue=\"mail\"}") >= 0.0);
    assert!(value(&page, "falconqueue_wal_syncs_total") >= 1.0);
    assert!(value(&page, "falconqueue_schedule_next_timestamp_seconds{schedule=\"nightly\"}") > 1.7e9);
    assert!(page.contains("falconqueue_build_info{version=\""), "{page}");
}

#[test]
fn every_figure_of_the_master_has_its_place() {
    let web = lived(&[]);
    let page = page(&web);
    let client = Client::new(Remote::new(&web.master.address, "measures", b""));
    let told = client.measures().expect("measures");
    let of_master = |line: &&str| line.starts_with("falconqueue_") && !line.starts_with("falconqueue_http_");
    let lines = page.lines().filter(of_master).count();
    let of_queues: usize = told.queues.iter().chain([&told.others]).map(|queue| queue.figures.len()).sum();
    let of_histograms = |all: &[Histogram]| -> usize {
        // Each bound, all above the last, the sum and the count.
        all.iter().map(|histogram| histogram.bounds.len() + 3).sum()
    };
    let histograms: usize =
        told.queues.iter().chain([&told.others]).map(|queue| of_histograms(&queue.histograms)).sum();
    // The version is in the build's line, and a schedule has its next tick and whether it is paused.
    let expected = told.figures.len() + of_queues + histograms + of_histograms(&told.histograms) + 2;
    assert_eq!(lines, expected, "{page}\n{:?}", told.figures);
}

#[test]
fn the_server_tells_of_itself() {
    let web = HttpMaster::fresh(&[]);
    web.get("/healthz").expect(200);
    web.get("/nowhere").problem(404, "NoSuchPath");
    web.get("/api/v1/jobs/7").problem(404, "NotFound");
    let job = web.master.submit(&["q", "x"])[0];
    let waits = web.begin(&Ask::new("GET", &format!("/api/v1/jobs/{job}/wait?timeout=1m")));
    let under_way = "falconqueue_http_under_way{kind=\"wait\"}";
    wait_until("the wait is under way", SOON, || (value(&page(&web), under_way) - 1.0).abs() < 1e-9);
    let before = page(&web);
    for (series, expected) in [
        ("falconqueue_http_requests_total{code=\"4xx\"}", 2.0),
        ("falconqueue_http_requests_total{code=\"5xx\"}", 0.0),
        ("falconqueue_http_under_way{kind=\"call\"}", 0.0),
    ] {
        assert!((value(&before, series) - expected).abs() < 1e-9, "{series}: {before}");
    }
    assert!(value(&before, "falconqueue_http_connections") >= 2.0, "the wait's, and its own: {before}");
    let ok = "falconqueue_http_requests_total{code=\"2xx\"}";
    let after = page(&web);
    assert!((value(&after, ok) - value(&before, ok) - 1.0).abs() < 1e-9, "one more page: {after}");
    let all: f64 =
        CODES.iter().map(|code| value(&after, &format!("falconqueue_http_requests_total{{code=\"{code}\"}}"))).sum();
    assert!((value(&after, "falconqueue_http_request_seconds_count") - all).abs() < 1e-9, "{after}");
    assert!(value(&after, "falconqueue_http_request_seconds_sum") > 0.0);
    web.master.cli(&["job", "cancel", &job.to_string()]).expect(0);
    assert_eq!(Answer::read(waits).expect("an answer").expect(200).json()["ended"], true);
    wait_until("it is over", SOON, || value(&page(&web), under_way) < 1e-9);
    promtool(&["check", "metrics"], &after);
    web.master.stop();
}

#[test]
fn a_token_may_be_needed() {
    let dir = scratch();
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, "board:read:look\nshop:submit:buy\n").expect("a token file");
    let web = HttpMaster::fresh(&["--token-file", tokens.to_str().expect("a path")]);
    web.get("/metrics").problem(401, "Unauthorized");
    web.ask(&Ask::new("GET", "/metrics").token("look")).expect(200);
}

/// What `promtool` says of a page on its stdin, or of files.
fn promtool(args: &[&str], page: &str) {
    let mut child = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus");
    child.stdin.take().expect("stdin").write_all(page.as_bytes()).expect("a page written");
    let output = child.wait_with_output().expect("promtool ended");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn the_real_checker_finds_nothing() {
    promtool(&["check", "metrics"], &page(&lived(&[])));
    promtool(&["check", "rules", RULES], "");
    promtool(&["test", "rules", RULES_TEST], "");
}

/// A Prometheus that ends with its test.
struct Prometheus {
    child: Child,
    at: String,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().expect("it can be ended");
        self.child.wait().expect("it ended");
    }
}

impl Prometheus {
    /// One that scrapes this address each second.
    fn of(target: &str) -> Prometheus {
        let dir = scratch();
        let config = dir.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nrule_files: [{RULES}]\nscrape_configs:\n  - job_name: falconqueue\n    \
             static_configs: [{{targets: [\"{target}\"]}}]\n"
        );
        fs::write(&config, text).expect("a configuration");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = free.local_addr().expect("an address").to_string();
        drop(free);
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let child = Command::new("prometheus")
            .arg(flag("config.file", &config))
            .arg(flag("storage.tsdb.path", &dir.path().join("data")))
            .arg(format!("--web.listen-address={at}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus, of Debian's package of that name");
        Prometheus { child, at, _dir: dir }
    }

    /// The value of a query that has one; none where it has none, or it does not serve yet.
    fn query(&self, text: &str) -> Option<String> {
        let answer = Ask::new("GET", &format!("/api/v1/query?query={text}")).of(&self.at)?;
        if answer.status == 503 {
            // It is starting.
            return None;
        }
        let answer = answer.expect(200);
        answer.json()["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    }
}

#[test]
fn a_real_prometheus_scrapes_it() {
    let web = lived(&[]);
    let prometheus = Prometheus::of(&web.at);
    wait_until("the master is scraped", 6 * SOON, || prometheus.query("up").as_deref() == Some("1"));
    let acked = "falconqueue_jobs_acked_total{queue=%22mail%22}";
    assert_eq!(prometheus.query(acked).as_deref(), Some("1"));
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let page = page(&lived(&[]));
    let dashboard = fs::read_to_string(GRAFANA).expect("a dashboard");
    let names = dashboard
        .split("falconqueue_")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().expect("a name").to_owned());
    for name in names {
        assert!(
            page.contains(&format!("falconqueue_{name}{{")) || page.contains(&format!("falconqueue_{name} ")),
            "{name}"
        );
    }
}
