//! The requests about schedules, and what answers them.

use super::mending::{backoff, headers, number};
use super::reader::Reader;
use super::{Body, Reply, Request};

pub const MISSED_ONCE: u8 = 1;
pub const MISSED_SKIP: u8 = 2;
pub const MISSED_ALL: u8 = 3;

pub const MADE: u8 = 1;
pub const MISSED: u8 = 2;
pub const OVERLAP: u8 = 3;
pub const REFUSED: u8 = 4;

/// When a schedule makes jobs, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub queue: String,
    pub cron: String,
    pub every_ms: u64,
    pub zone: String,
    pub jitter_ms: u32,
    pub missed: u8,
    pub missed_max: u16,
    pub skip_overlap: bool,
    pub priority: u8,
    pub max_attempts: u16,
    pub timeout_ms: u32,
    pub keep_ms: Option<u64>,
    pub backoff: Option<(u32, u32)>,
    pub ttl_ms: Option<u64>,
    pub headers: Vec<(String, String)>,
    /// Empty for none.
    pub group: String,
    pub payload: Vec<u8>,
}

/// Each time that a span has passed.
pub fn every(queue: &str, every_ms: u64) -> Plan {
    Plan { every_ms, ..cron(queue, "", "") }
}

/// By the clock on the wall of a zone.
pub fn cron(queue: &str, expression: &str, zone: &str) -> Plan {
    Plan {
        queue: queue.to_owned(),
        cron: expression.to_owned(),
        every_ms: 0,
        zone: zone.to_owned(),
        jitter_ms: 0,
        missed: MISSED_ONCE,
        missed_max: 0,
        skip_overlap: false,
        priority: 128,
        max_attempts: 0,
        timeout_ms: 0,
        keep_ms: None,
        backoff: None,
        ttl_ms: None,
        headers: Vec::new(),
        group: String::new(),
        payload: b"payload".to_vec(),
    }
}

impl Plan {
    fn put(&self, body: Body) -> Body {
        let headers = (!self.headers.is_empty()).then(|| headers(&self.headers));
        let group = (!self.group.is_empty()).then(|| Body::default().text(&self.group));
        let (keep_ms, ttl_ms) = (number(self.keep_ms), number(self.ttl_ms));
        let extras = [(1, keep_ms), (2, self.backoff.map(backoff)), (3, ttl_ms), (4, headers), (5, group)];
        let body = body.text(&self.queue).text(&self.cron).u64(self.every_ms).text(&self.zone).u32(self.jitter_ms);
        let body = body.u8(self.missed).u16(self.missed_max).u8(u8::from(self.skip_overlap));
        body.u8(self.priority).u16(self.max_attempts).u32(self.timeout_ms).extras(&extras).bytes32(&self.payload)
    }
}

pub fn put_schedule(name: &str, plan: &Plan, dry_run: bool) -> Request {
    let dry_run = dry_run.then(|| Body::default().u8(1));
    Request::new(35, plan.put(Body::default().text(name)).extras(&[(1, dry_run)]))
}

fn named(kind: u16, name: &str) -> Request {
    Request::new(kind, Body::default().text(name).plain())
}

pub fn drop_schedule(name: &str) -> Request {
    named(36, name)
}

pub fn list_schedules(behind: &str, limit: u16) -> Request {
    Request::new(37, Body::default().text(behind).u16(limit).plain())
}

pub fn show_schedule(name: &str) -> Request {
    named(38, name)
}

pub fn pause_schedule(name: &str) -> Request {
    named(39, name)
}

pub fn resume_schedule(name: &str) -> Request {
    named(40, name)
}

pub fn run_schedule(name: &str) -> Request {
    named(41, name)
}

/// What answers one of them.
#[derive(Clone, Debug, PartialEq)]
pub enum OfSchedules {
    /// Change, and when the next tick is.
    Put(u8, u64),
    /// Dropped, paused or resumed.
    Done,
    /// Names of a page with when each is due next, and whether there are more.
    List(Vec<(String, u64)>, bool),
    Show(Box<ScheduleFacts>),
    /// The job.
    Run(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleFacts {
    pub plan: Plan,
    pub paused: bool,
    /// Moment, and what the clock of the zone shows.
    pub ticks: Vec<(u64, String)>,
    pub runs: Vec<TickRun>,
    pub put_off: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TickRun {
    pub tick_at: u64,
    pub at: u64,
    pub outcome: u8,
    pub job: u64,
    pub asked: bool,
}

impl Reader<'_> {
    pub fn of_schedules(&mut self, kind: u16) -> Reply {
        Reply::OfSchedules(match kind {
            0x8023 => OfSchedules::Put(self.u8(), self.u64()),
            0x8024 | 0x8027 | 0x8028 => OfSchedules::Done,
            0x8025 => {
                let rows = self.list(Reader::schedule_row);
                OfSchedules::List(rows, self.u8() == 1)
            }
            0x8026 => OfSchedules::Show(Box::new(self.schedule_facts())),
            0x8029 => OfSchedules::Run(self.u64()),
            other => panic!("a reply of unknown kind {other:#06x}"),
        })
    }

    fn schedule_row(&mut self) -> (String, u64) {
        let (name, _queue, _cron, _every_ms) = (self.text(), self.text(), self.text(), self.u64());
        let (_zone, _paused, next_at) = (self.text(), self.u8(), self.u64());
        self.extras_by(|tag, value| {
            match tag {
                1 => drop(value.run()),
                2 => drop(value.text()),
                other => panic!("an extra {other} of a row"),
            }
            false
        });
        (name, next_at)
    }

    fn run(&mut self) -> TickRun {
        let (tick_at, at, outcome, job) = (self.u64(), self.u64(), self.u8(), self.u64());
        let run = TickRun { tick_at, at, outcome, job, asked: self.u8() == 1 };
        self.then_extras(run)
    }

    fn schedule_facts(&mut self) -> ScheduleFacts {
        let (plan, paused) = (self.plan(), self.u8() == 1);
        let ticks = self.list(|r| {
            let tick = (r.u64(), r.text());
            r.then_extras(tick)
        });
        let runs = self.list(Reader::run);
        let mut put_off = None;
        self.extras_by(|_, value| {
            put_off = Some(value.text());
            false
        });
        ScheduleFacts { plan, paused, ticks, runs, put_off }
    }

    fn plan(&mut self) -> Plan {
        let mut plan = cron(&self.text(), &self.text(), "");
        (plan.every_ms, plan.zone, plan.jitter_ms) = (self.u64(), self.text(), self.u32());
        (plan.missed, plan.missed_max, plan.skip_overlap) = (self.u8(), self.u16(), self.u8() == 1);
        (plan.priority, plan.max_attempts, plan.timeout_ms) = (self.u8(), self.u16(), self.u32());
        self.extras_by(|tag, value| {
            match tag {
                1 => plan.keep_ms = Some(value.u64()),
                2 => {
                    let backoff = (value.u32(), value.u32());
                    plan.backoff = Some(value.then_extras(backoff));
                }
                3 => plan.ttl_ms = Some(value.u64()),
                4 => plan.headers = value.headers(),
                5 => plan.group = value.text(),
                other => panic!("an extra {other} of a plan"),
            }
            false
        });
        plan.payload = self.bytes32();
        plan
    }
}
