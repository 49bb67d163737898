//! The page as plain HTTP has it: what is served, what a browser is forbidden, and how a session begins and ends. What
//! a person does with it is tried in a browser, see `tests/browser/`.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::http::guarded;
use crate::harness::http::{Answer, Ask, HttpMaster};
use crate::harness::{SOON, wait_until};

const VIEWS: [&str; 9] =
    ["/", "/queues", "/queues/mail", "/jobs", "/jobs/1", "/dead", "/workers", "/schedules", "/storage"];

/// Headers without which a browser might run what it should only show.
#[track_caller]
fn is_guarded(answer: &Answer) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{}", answer.text());
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn each_view_is_the_page_and_its_files_are_there() {
    let master = HttpMaster::fresh(&[]);
    for view in VIEWS {
        let page = master.get(view).expect(200);
        is_guarded(&page);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.header("content-security-policy").contains("script-src 'self'; style-src 'self'"));
    }
    let page = master.get("/").text();
    let named = page.split('"').filter(|part| part.starts_with("/page/"));
    let mut modules = 0;
    for name in named {
        let file = master.get(name).expect(200);
        is_guarded(&file);
        modules += usize::from(file.header("content-type").starts_with("text/javascript"));
        let again = master.ask(&Ask::new("GET", name).header("If-None-Match", file.header("etag"))).expect(304);
        assert!(again.body.is_empty() && file.header("cache-control") == "no-cache", "{name}");
    }
    assert_eq!(modules, 2, "{page}");
    for nowhere in ["/page/", "/page/main", "/page/../mod.rs", "/page/%2e%2e/mod.rs", "/nothing"] {
        let answer = master.get(nowhere);
        is_guarded(&answer);
        answer.problem(404, "NoSuchPath");
    }
    let browser = master.ask(&Ask::new("GET", "/nothing").header("Accept", "text/html,*/*;q=0.8")).expect(404);
    assert_eq!(browser.header("content-type"), "text/html; charset=utf-8");
    master.get("/api/v1/stats").expect(200);
    is_guarded(&master.get("/api/v1/stats"));
    assert_eq!(master.get("/api/v1/stats").header("cache-control"), "no-store");
    master.master.stop();
}

#[test]
fn without_tokens_everybody_is_an_admin_and_no_cookie_is_made() {
    let master = HttpMaster::fresh(&[]);
    let who = master.get("/session").expect(200).json();
    assert_eq!(who, json!({"holder": null, "role": "admin", "open": true}));
    let begun = master.send("POST", "/session", &json!({"token": "x"})).expect(204);
    assert_eq!(begun.header("set-cookie"), "");
    master.master.stop();
}

fn log_in(master: &HttpMaster, token: &str) -> String {
    let begun = master.send("POST", "/session", &json!({"token": token})).expect(204);
    let (cookie, rest) = begun.header("set-cookie").split_once("; ").expect("a cookie with its bounds");
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict");
    assert!(!cookie.contains(token), "{cookie}");
    cookie.to_owned()
}

fn by<'a>(method: &'a str, path: &'a str, cookie: &str) -> Ask<'a> {
    Ask::new(method, path).header("Cookie", &format!("theme=dark; {cookie}"))
}

#[test]
fn a_session_may_what_its_token_may_and_writes_from_its_own_page_alone() {
    let (_dir, master) = guarded();
    assert_eq!(master.get("/session").json(), json!({"holder": null, "role": null, "open": false}));
    master.get("/").expect(200);
    master.send("POST", "/session", &json!({"token": "of somebody else"})).problem(401, "Unauthorized");
    let (admin, reader) = (log_in(&master, "a-secret"), log_in(&master, "r-secret"));
    assert_ne!(admin, reader);
    assert_eq!(master.ask(&by("GET", "/session", &reader)).json()["role"], "read");
    master.ask(&by("GET", "/api/v1/stats", &reader)).expect(200);
    master.get("/api/v1/stats").problem(401, "Unauthorized");

    let origin = format!("http://{}", master.at);
    let pause = |cookie: &str| by("POST", "/api/v1/queues/mail/pause", cookie).json(&json!({}));
    let said = master.ask(&pause(&admin)).problem(403, "WrongOrigin");
    assert!(said.contains("from the page alone"), "{said}");
    master.ask(&pause(&admin).header("Origin", "http://localhost:1")).problem(403, "WrongOrigin");
    let said = master.ask(&pause(&reader).header("Origin", &origin)).problem(403, "Forbidden");
    assert!(said.contains("needs the role admin"), "{said}");
    let submitted = by("POST", "/api/v1/queues/mail/jobs", &admin).header("Origin", &origin).body(b"x");
    master.ask(&submitted).expect(201);
    master.ask(&pause(&admin).header("Origin", &origin)).expect(200);

    let ended = master.ask(&by("DELETE", "/session", &admin).header("Origin", &origin)).expect(204);
    assert!(ended.header("set-cookie").ends_with("; Max-Age=0"));
    master.ask(&by("GET", "/api/v1/stats", &admin)).problem(401, "Unauthorized");
    master.ask(&by("GET", "/api/v1/stats", &reader)).expect(200);
    master.master.stop();
}

#[test]
fn a_token_that_is_taken_away_takes_its_sessions_with_it() {
    let (dir, master) = guarded();
    let (admin, reader) = (log_in(&master, "a-secret"), log_in(&master, "r-secret"));
    fs::write(dir.path().join("tokens"), "ops:admin:a-secret\n").expect("tokens");
    master.master.signal(Signal::HUP);
    wait_until("the reload", SOON, || master.master.stderr().contains("the tokens were read"));
    master.ask(&by("GET", "/api/v1/stats", &reader)).problem(401, "Unauthorized");
    master.ask(&by("GET", "/api/v1/stats", &admin)).expect(200);
    master.master.stop();
}

#[test]
fn wrong_tokens_are_answered_a_few_at_a_time() {
    let (_dir, master) = guarded();
    let ask = Ask::new("POST", "/session").json(&json!({"token": "of somebody else"}));
    let asked: Vec<_> = (0..12).map(|_| master.begin(&ask)).collect();
    let mut codes: Vec<u16> = asked.into_iter().map(|one| Answer::read(one).expect("an answer").status).collect();
    codes.sort_unstable();
    assert_eq!(codes, [[401; 4].as_slice(), &[429; 8]].concat());
    log_in(&master, "a-secret");
    master.master.stop();
}

#[test]
fn the_loop_comes_before_whoever_looks() {
    let master = HttpMaster::fresh(&[]);
    let tasks = fs::read_dir(format!("/proc/{}/task", master.master.id())).expect("its threads");
    let nice: Vec<(String, String)> = tasks
        .map(|task| fs::read_to_string(task.expect("a thread").path().join("stat")).expect("its figures"))
        .map(|stat| {
            let (name, rest) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")).expect("a name");
            (name.to_owned(), rest.split(' ').nth(16).expect("its niceness").to_owned())
        })
        .collect();
    let of = |name: &str| nice.iter().find(|(known, _)| known.starts_with(name)).map(|(_, nice)| nice.parse::<i32>());
    let (http, own) = (of("falcon-http").expect("HTTP").unwrap(), of("falcond").expect("the loop").unwrap());
    assert_eq!(http, (own + 10).min(19), "{nice:?}");
    master.master.stop();
}

#[test]
fn behind_a_proxy_with_tls_the_cookie_is_for_tls_alone() {
    let (_dir, master) = guarded();
    let ask = Ask::new("POST", "/session").json(&json!({"token": "r-secret"})).header("X-Forwarded-Proto", "https");
    let begun = master.ask(&ask).expect(204);
    assert!(begun.header("set-cookie").ends_with("; SameSite=Strict; Secure"), "{}", begun.header("set-cookie"));
    master.master.stop();
}
