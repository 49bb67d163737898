//! The codec of the tests, written from the page, and that of the program say the same.

use falconqueue::codec::{Field, List};
use falconqueue::ids::{JobId, LeaseId};
use falconqueue::job::{Backoff, Header, HeadersText, Settings};
use falconqueue::protocol::{self as wire, Change, TextKind};
use falconqueue::rules::{self, Way};
use falconqueue::schedule::{Missed, Plan};
use falconqueue::time::Timestamp;

use crate::frames::{self, *};

#[track_caller]
fn same<'a>(request: &frames::Request, message: impl Into<wire::Request<'a>>) {
    let mut bytes = Vec::new();
    message.into().encode(7, &mut bytes);
    assert_eq!(request.frame(7), bytes);
}

#[test]
fn a_job_with_all_that_few_have() {
    let mut headers = Vec::new();
    List::lent(&[Header { name: "trace", value: "7" }]).write(&mut headers);
    let job = wire::SubmitJob {
        queue: "q",
        settings: Settings { timeout_ms: 9, max_attempts: 4, priority: 3 },
        keep_ms: Some(1500),
        backoff: Some(Backoff { first_ms: 10, most_ms: 20 }),
        ttl_ms: Some(77),
        headers: Some(HeadersText(&headers)),
        payload: b"x",
        ..wire::SubmitJob::default()
    };
    let own = frames::Job { priority: 3, max_attempts: 4, timeout_ms: 9, keep_ms: Some(1500), ..frames::job("q", "x") };
    let headers = vec![("trace".to_owned(), "7".to_owned())];
    let own = frames::Job { backoff: Some((10, 20)), ttl_ms: Some(77), headers, ..own };
    same(&submit(&[own]), wire::Submit::of(&[job]));
}

#[test]
fn what_mends_jobs_and_waits_for_them() {
    let ids = [JobId(4), JobId(9)];
    let jobs = List::lent(&ids);
    let [one, all] = [&[4, 9], &[4, 9]];
    same(&frames::mend(CANCEL_NOW, one), wire::Mend { change: Change::CancelNow, jobs, update: None });
    let to = wire::Updated { priority: Some(1), max_attempts: Some(2), delay_ms: Some(3), ttl_ms: Some(4) };
    let of = Updated { priority: Some(1), max_attempts: Some(2), delay_ms: Some(3), ttl_ms: Some(4) };
    same(&update(all, &of), wire::Mend { change: Change::Update, jobs, update: Some(to) });
    same(&frames::wait(all, true, 5), wire::Wait { jobs, any: true, wait_ms: 5, progress_since: None });
    let progress_since = Some(Timestamp(8));
    same(&frames::wait_telling(all, 8, 5), wire::Wait { jobs, any: false, wait_ms: 5, progress_since });
    same(&frames::idle("q", 5), wire::Idle { queue: "q", wait_ms: 5 });
    same(&find("k"), wire::Find { key: "k" });
    same(&payload_of(4), wire::Text { job: JobId(4), what: TextKind::Payload });
    same(&result_of(4), wire::Text { job: JobId(4), what: TextKind::Result });
    let (job, lease, error) = (JobId(4), LeaseId(9), "no");
    let item = wire::FailItem { job, lease, error, retry_in_ms: Some(6), ..wire::FailItem::default() };
    same(&fail_for(4, 9, "no", 6), wire::Fail { items: List::lent(&[item]) });
}

#[test]
fn what_settles_a_queue() {
    let queue = "q";
    same(&pause(queue, WAY_BOTH, 5, "why"), wire::Pause { queue, way: Way::Both, for_ms: 5, reason: Some("why") });
    same(&resume(queue, WAY_OUT), wire::Resume { queue, way: Way::Out });
    let settings = rules::QueueSettings {
        keep_s: Some(1),
        dead_keep_s: Some(2),
        backoff: Some(Backoff { first_ms: 3, most_ms: 4 }),
        max_attempts: Some(5),
        depth_max: Some(6),
        bytes_max: Some(7),
        timeout_ms: Some(8),
        ttl_ms: Some(9),
        running_max: Some(10),
        group_running_max: Some(11),
        strict: Some(true),
        rate: Some(rules::Rate { tokens: 12, per_ms: 13, burst: 14 }),
        group_rate: Some(rules::Rate { tokens: 15, per_ms: 16, burst: 17 }),
    };
    let of = QueueSettings {
        keep_s: Some(1),
        dead_keep_s: Some(2),
        backoff: Some((3, 4)),
        max_attempts: Some(5),
        depth_max: Some(6),
        bytes_max: Some(7),
        timeout_ms: Some(8),
        ttl_ms: Some(9),
        running_max: Some(10),
        group_running_max: Some(11),
        strict: Some(true),
        rate: Some((12, 13, 14)),
        group_rate: Some((15, 16, 17)),
    };
    same(&set_queue(queue, &of), wire::SetQueue { queue, settings });
    same(&delete_queue(queue), wire::DeleteQueue { queue });
    same(&show_queue(queue), wire::ShowQueue { queue });
    same(&drain(true), wire::Drain { on: true });
}

fn a_plan(headers: &[u8]) -> Plan<'_> {
    Plan {
        queue: "q",
        cron: "* * * * *",
        every_ms: 1,
        zone: "Z",
        jitter_ms: 2,
        missed: Missed::All,
        missed_max: 3,
        skip_overlap: true,
        settings: Settings { timeout_ms: 4, max_attempts: 5, priority: 6 },
        keep_ms: Some(7),
        backoff: Some(Backoff { first_ms: 8, most_ms: 9 }),
        ttl_ms: Some(10),
        headers: Some(HeadersText(headers)),
        group: Some("acme"),
        payload: b"x",
    }
}

#[test]
fn what_is_asked_of_schedules() {
    let mut headers = Vec::new();
    List::lent(&[Header { name: "trace", value: "7" }]).write(&mut headers);
    let plan = a_plan(&headers);
    let own = frames::Plan {
        every_ms: 1,
        jitter_ms: 2,
        missed: MISSED_ALL,
        missed_max: 3,
        skip_overlap: true,
        timeout_ms: 4,
        max_attempts: 5,
        priority: 6,
        keep_ms: Some(7),
        backoff: Some((8, 9)),
        ttl_ms: Some(10),
        headers: vec![("trace".to_owned(), "7".to_owned())],
        group: "acme".to_owned(),
        payload: b"x".to_vec(),
        ..cron("q", "* * * * *", "Z")
    };
    let name = "s";
    same(&put_schedule(name, &own, true), wire::PutSchedule { name, plan, dry_run: Some(true) });
    same(&put_schedule(name, &own, false), wire::PutSchedule { name, plan, dry_run: None });
    same(&drop_schedule(name), wire::DropSchedule { name });
    same(&list_schedules("a", 9), wire::ListSchedules { behind: "a", limit: 9 });
    same(&show_schedule(name), wire::ShowSchedule { name });
    same(&pause_schedule(name), wire::PauseSchedule { name });
    same(&resume_schedule(name), wire::ResumeSchedule { name });
    same(&run_schedule(name), wire::RunSchedule { name });
}

#[test]
fn what_settles_a_group() {
    let queue = "q";
    let settings = rules::GroupSettings {
        weight: Some(3),
        running_max: Some(4),
        rate: Some(rules::Rate { tokens: 5, per_ms: 6, burst: 7 }),
    };
    let of = GroupSettings { weight: Some(3), running_max: Some(4), rate: Some((5, 6, 7)) };
    same(&set_group(queue, "acme", &of), wire::SetGroup { queue, group: "acme", settings });
    same(&groups(queue, 8, Some("acme")), wire::Groups { queue, from: 8, group: Some("acme") });
}
