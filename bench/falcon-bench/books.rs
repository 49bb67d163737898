//! What was sent and what came back: every job once, no more and no less.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::{Figures, add_percentiles, histogram};
use crate::machine;
use crate::progress::Progress;
use crate::wire::Delivered;

/// Counts at one moment, for the figures between two.
#[derive(Clone, Copy)]
struct Mark {
    at_ns: u64,
    submitted: u64,
    acked: u64,
    server_cpu: Option<Duration>,
    own_cpu: Option<Duration>,
}

pub struct Books {
    /// Jobs in submits that were sent; also the next job's number.
    pub sent: u64,
    pub submitted: u64,
    pub delivered: u64,
    pub acked: u64,
    waiting: u64,
    payload_bytes: usize,
    server_pid: Option<u32>,
    /// One bit for each job that was delivered.
    seen: Vec<u64>,
    from: Option<Mark>,
    to: Option<Mark>,
    submit_ns: Histogram<u64>,
    delivery_ns: Histogram<u64>,
    progress: Progress,
}

impl Books {
    /// Books of a server in which jobs 0 to `waiting` wait.
    pub fn new(waiting: u64, payload_bytes: usize, server_pid: Option<u32>) -> Books {
        Books {
            sent: waiting,
            submitted: waiting,
            delivered: 0,
            acked: 0,
            waiting,
            payload_bytes,
            server_pid,
            seen: Vec::new(),
            from: None,
            to: None,
            submit_ns: histogram(),
            delivery_ns: histogram(),
            progress: Progress::default(),
        }
    }

    fn mark(&self, at_ns: u64) -> Mark {
        Mark {
            at_ns,
            submitted: self.submitted,
            acked: self.acked,
            server_cpu: self.server_pid.and_then(machine::cpu_time),
            own_cpu: machine::cpu_time(std::process::id()),
        }
    }

    pub fn acked(&mut self, jobs: u32, now_ns: u64) {
        self.acked += u64::from(jobs);
        self.progress.note(now_ns, self.acked);
    }

    /// How it went on within the window.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn begin_window(&mut self, now_ns: u64) {
        self.from = Some(self.mark(now_ns));
        self.progress.begin(now_ns, self.acked);
    }

    pub fn end_window(&mut self, now_ns: u64) {
        self.to = Some(self.mark(now_ns));
    }

    pub fn window_begun(&self) -> bool {
        self.from.is_some()
    }

    pub fn window_ended(&self) -> bool {
        self.to.is_some()
    }

    /// Whether a request of this time counts. One that began within the window counts whenever it ends.
    fn counts(&self, stamp_ns: u64) -> bool {
        self.from.is_some_and(|from| stamp_ns >= from.at_ns) && self.to.is_none_or(|to| stamp_ns < to.at_ns)
    }

    pub fn submitted(&mut self, jobs: u32, stamp_ns: u64, now_ns: u64) {
        self.submitted += u64::from(jobs);
        if self.counts(stamp_ns) {
            self.submit_ns.saturating_record(now_ns.saturating_sub(stamp_ns));
        }
    }

    pub fn delivered(&mut self, job: Delivered, now_ns: u64) -> Result<(), String> {
        let Delivered { number, stamp_ns, payload_bytes } = job;
        if number >= self.sent || payload_bytes != self.payload_bytes {
            return Err(format!("job {number} with {payload_bytes} bytes was delivered and never submitted"));
        }
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1 + word / 2, 0);
        }
        if self.seen[word] & bit != 0 {
            return Err(format!("job {number} was delivered twice"));
        }
        self.seen[word] |= bit;
        self.delivered += 1;
        if self.counts(stamp_ns) {
            self.delivery_ns.saturating_record(now_ns.saturating_sub(stamp_ns));
        }
        Ok(())
    }

    /// All that was sent is answered, and with workers also delivered and acked.
    pub fn is_settled(&self, with_workers: bool) -> bool {
        self.submitted == self.sent && (!with_workers || self.acked == self.sent)
    }

    pub fn state(&self) -> String {
        format!(
            "{} jobs sent, {} submitted, {} delivered, {} acked",
            self.sent, self.submitted, self.delivered, self.acked
        )
    }

    pub fn figures(&self) -> Result<Figures, String> {
        let (Some(from), Some(to)) = (self.from, self.to) else {
            return Err("the window was never whole".into());
        };
        let seconds = (to.at_ns - from.at_ns) as f64 / 1e9;
        let mut figures = Figures::new();
        let mut put = |name: &str, value: f64| figures.insert(name.to_owned(), value);
        put("seconds", seconds);
        put("submits_per_s", (to.submitted - from.submitted) as f64 / seconds);
        put("cycles_per_s", (to.acked - from.acked) as f64 / seconds);
        put("jobs_in_all", self.sent as f64);
        put("backlog", to.submitted.saturating_sub(to.acked + self.waiting) as f64);
        for (name, from, to) in
            [("server_core", from.server_cpu, to.server_cpu), ("generator_core", from.own_cpu, to.own_cpu)]
        {
            if let (Some(from), Some(to)) = (from, to) {
                put(name, to.saturating_sub(from).as_secs_f64() / seconds);
            }
        }
        // What a job costs the server, however much of the core it got.
        let jobs = (to.acked - from.acked).max(to.submitted - from.submitted) as f64;
        if let Some(core) = figures.get("server_core").copied().filter(|_| jobs > 0.0) {
            figures.insert("server_us_a_job".into(), core * seconds * 1e6 / jobs);
        }
        add_percentiles(&mut figures, "submit", &self.submit_ns);
        add_percentiles(&mut figures, "delivery", &self.delivery_ns);
        Ok(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u64, stamp_ns: u64) -> Delivered {
        Delivered { number, stamp_ns, payload_bytes: 16 }
    }

    #[test]
    fn each_job_comes_once() {
        let mut books = Books::new(0, 16, None);
        books.sent = 3;
        books.delivered(job(2, 0), 1).unwrap();
        assert!(books.delivered(job(2, 0), 1).unwrap_err().contains("twice"));
        assert!(books.delivered(job(3, 0), 1).unwrap_err().contains("never"));
        assert!(books.delivered(Delivered { payload_bytes: 17, ..job(1, 0) }, 1).is_err());
        (books.submitted, books.acked) = (3, 2);
        assert!(books.is_settled(false));
        assert!(!books.is_settled(true));
    }

    #[test]
    fn what_began_in_the_window_counts_also_when_it_ends_late() {
        let mut books = Books::new(0, 16, None);
        books.sent = 9;
        books.begin_window(1_000_000_000);
        books.delivered(job(0, 999_999_999), 1_000_000_001).unwrap();
        books.acked = 4;
        books.end_window(3_000_000_000);
        books.delivered(job(1, 2_000_000_000), 5_000_000_000).unwrap();
        books.delivered(job(2, 3_000_000_000), 3_000_000_001).unwrap();
        let figures = books.figures().unwrap();
        assert!((figures["cycles_per_s"] - 2.0).abs() < 1e-9);
        assert!((figures["delivery_max_us"] - 3_000_000.0).abs() < 3000.0, "{}", figures["delivery_max_us"]);
        assert!((figures["delivery_p50_us"] - 3_000_000.0).abs() < 3000.0);
    }
}
