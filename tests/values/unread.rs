//! What lies on a bad sector, and what goes on nevertheless.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use falconqueue::codec::{Field, List};
use falconqueue::ids::SessionId;
use falconqueue::job::{Header, HeadersText};
use falconqueue::master::{ReadOutcome, WalError};
use falconqueue::protocol::SubmitJob;
use falconqueue::queue::Part;

use crate::frames::{
    Filter, MEND_OK, PURGE, REQUEUE, Reply, Request, UNAVAILABLE, count_jobs, list_jobs, mend, mend_all, status,
};
use crate::hand::{Hand, job};
use crate::scans::{dies, first_page, ids, list, scan};

thread_local! {
    /// What the log said on this thread, while somebody listens.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

struct Listener;

impl log::Log for Listener {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        SAID.with_borrow_mut(|said| {
            if let Some(said) = said {
                said.push(record.args().to_string());
            }
        });
    }

    fn flush(&self) {}
}

/// Does something; gives what came of it, and the warnings of the log.
fn listening<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        log::set_logger(&Listener).expect("nobody else listens");
        log::set_max_level(log::LevelFilter::Warn);
    });
    SAID.set(Some(Vec::new()));
    let outcome = work();
    (outcome, SAID.take().unwrap_or_default())
}

/// From now on this part of a job cannot be read.
fn lose(hand: &Hand, job: u64, part: Part) {
    let text = hand.master.queues().texts().find(|text| text.job.0 == job && text.part == part);
    let text = text.expect("it lies in the log");
    let [segment] = hand.device.segments()[..] else { panic!("one segment") };
    let at = text.at.offset as usize;
    hand.device.fail_reads(segment, at..at + text.bytes as usize);
}

#[test]
fn a_job_whose_headers_cannot_be_read_is_delivered_without_them() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let mut headers = Vec::new();
    List::lent(&[Header { name: "trace", value: "7" }]).write(&mut headers);
    let jobs = [SubmitJob { headers: Some(HeadersText(&headers)), ..job("q") }; 2];
    let told = hand.submit(client, &jobs);
    let (first, second) = (told[0].job, told[1].job);
    lose(&hand, first, Part::Headers);
    let (got, said) = listening(|| hand.poll(client, &["q"], 2));
    let handed: Vec<_> = got.iter().map(|got| (got.job, got.headers.len(), &got.payload[..])).collect();
    assert_eq!(handed, [(first, 0, &b"payload"[..]), (second, 1, b"payload")]);
    let [ref line] = said[..] else { panic!("{said:?}") };
    assert!(line.starts_with(&format!("job {first}: delivered without its headers: ")), "{line}");
    assert!(got.iter().all(|got| hand.ack(client, got.job, got.lease)));
}

/// A master with two jobs that died of the same.
fn two_dead() -> (Hand, SessionId, [u64; 2]) {
    let mut hand = Hand::new();
    let client = hand.connect();
    let dead = ["no route to 7", "no route to 8"].map(|error| dies(&mut hand, client, "q", error));
    (hand, client, dead)
}

fn of_route() -> Filter {
    Filter { error: Some("no route".into()), ..Filter::default() }
}

/// All that looks for jobs by their errors, or only tells these.
fn scans(hand: &mut Hand, client: SessionId, filter: &Filter) -> Vec<Request> {
    let since = first_page(hand, client, REQUEUE, filter);
    let [counted, told] = [false, true].map(|by_error| count_jobs(filter, 0, by_error));
    vec![list_jobs(filter, 0, true, 10), counted, told, mend_all(REQUEUE, filter, 1, since)]
}

/// The sentence of a scan that has failed.
fn failed(reply: Reply) -> String {
    match reply {
        Reply::Error { code: UNAVAILABLE, text, .. } if text.contains("cannot be read from the log") => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_scan_whose_errors_are_not_read_ends_and_says_so() {
    let (mut hand, client, _) = two_dead();
    for request in scans(&mut hand, client, &of_route()) {
        hand.send_frame(client, &request);
        hand.now = hand.now.plus(falconqueue::time::Millis(20));
        hand.master.begin_turn(hand.now).expect("the log takes records");
        hand.master.finish_turn(hand.now).expect("the log takes records");
        let _ = hand.master.read_request().expect("errors to read");
        let source = io::Error::other("no thread");
        hand.master.read_done(ReadOutcome::failed(WalError::Io { doing: "starting a thread".into(), source }));
        assert!(failed(hand.heard(client).remove(0)).contains("no thread"));
    }
    assert_eq!(hand.master.queues().totals().dead, 2, "nothing was changed");
}

#[test]
fn a_scan_that_looks_for_words_in_an_error_that_cannot_be_read_ends_and_names_its_job() {
    let (mut hand, client, [lost, other]) = two_dead();
    lose(&hand, lost, Part::Story);
    for request in scans(&mut hand, client, &of_route()) {
        let text = failed(scan(&mut hand, client, &request));
        assert!(text.contains(&format!("the error of job {lost} ")), "{text}");
    }
    assert_eq!(hand.master.queues().totals().dead, 2, "nothing was changed");
    assert_eq!(status(hand.ask_frame(client, &mend(PURGE, &[lost])), MEND_OK, lost), 0);
    assert_eq!(ids(&list(&mut hand, client, &of_route(), 0, 10)), [other]);
}

#[test]
fn a_scan_that_only_tells_errors_goes_on_without_one_that_cannot_be_read_and_the_log_says_so() {
    let (mut hand, client, [lost, other]) = two_dead();
    lose(&hand, lost, Part::Story);
    let (page, said) = listening(|| list(&mut hand, client, &Filter::default(), 0, 10));
    let rows: Vec<(u64, &str)> = page.rows.iter().map(|row| (row.job, row.error.as_str())).collect();
    assert_eq!(rows, [(other, "no route to 8"), (lost, "")]);
    let [ref line] = said[..] else { panic!("{said:?}") };
    assert!(line.starts_with(&format!("the error of job {lost} cannot be read: ")), "{line}");
    let Reply::CountJobsOk(page) = scan(&mut hand, client, &count_jobs(&Filter::default(), 0, true)) else {
        panic!("a count");
    };
    let kinds: Vec<(u64, u64)> = page.errors.iter().map(|told| (told.count, told.job)).collect();
    assert_eq!((page.count, kinds), (2, vec![(1, other)]));
}
