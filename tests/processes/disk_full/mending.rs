//! Jobs are cancelled and purged on a full disk, workers are told, and a restart takes nothing of it back. What needs
//! room is done, or refused by a status that says so.

use serde_json::json;

use super::*;

const HOUR_MS: u64 = 3_600_000;

const DELAYED: usize = 300;
const DEAD: usize = 30;
const HALF: usize = 2_000;
const PURGED: usize = 100;
const RUNNING: usize = 4;

/// Jobs of each standing on a disk that is full.
struct Full {
    master: Master,
    owed: Owed,
    worker: Process,
    pending: Vec<u64>,
    dead: Vec<u64>,
    /// Jobs whose commands run, and the processes of these.
    running: Vec<u64>,
    pids: Vec<String>,
}

fn kept(queue: &str, payload: &str) -> Job {
    Job { keep_ms: Some(HOUR_MS), ..job(queue, payload) }
}

fn dead(wire: &mut Wire) -> Vec<u64> {
    let jobs: Vec<Job> = (0..DEAD).map(|_| kept("dead", "x")).collect();
    wire.put_all(&jobs);
    let given = wire.poll(&["dead"], DEAD as u16, 0, 60_000);
    let failed: Vec<_> = given.iter().map(|got| (got.job, got.lease, true, "beyond hope")).collect();
    assert!(matches!(wire.ask(&fail(&failed)), Reply::Done(FAIL_OK, items) if items.len() == DEAD));
    given.iter().map(|got| got.job).collect()
}

impl Full {
    fn on(disk: &Disk, sizes: &[usize], place: &Place) -> Full {
        disk.fill(56 * MIB);
        let master = Master::start(&disk.data(), &[]);
        let mut wire = master.connect();
        let dead = dead(&mut wire);
        let script = |n| format!("echo $$ >'{0}.new'; mv '{0}.new' '{0}'; {1}", place.path(n), place.for_ever());
        let marks: Vec<String> = (0..RUNNING).map(|n| format!("pid-{n}")).collect();
        let running = marks.iter().map(|mark| wire.put_all(&[kept("work", &script(mark))])[0]).collect();
        let worker = master.worker(&["--queue", "work", "--concurrency", "4"], &["sh"]);
        let pids = marks.iter().map(|mark| place.wait_content(mark)).collect();
        let many = |queue: &str, count| (0..count).map(|_| kept(queue, "x")).collect::<Vec<Job>>();
        let later = |job| Job { delay_ms: HOUR_MS, ..job };
        wire.put_all(&many("later", DELAYED).into_iter().map(later).collect::<Vec<Job>>());
        let pending = wire.put_all(&many("half", 1_000));
        wire.put_all(&many("half", HALF - pending.len()));
        wire.put_all(&many("purged", PURGED));
        let mut owed = Owed::default();
        owed.submit_until_refused(&mut wire, sizes);
        disk.fill_up();
        let mut full = Full { master, owed, worker, pending, dead, running, pids };
        full.expect_full();
        full
    }

    /// Not even the smallest job is taken.
    #[track_caller]
    fn expect_full(&mut self) {
        assert!(!self.owed.submit(&mut self.master.connect(), &[8], 1), "a submit on a full disk");
    }

    /// A change of jobs by their ids, each of which is done.
    #[track_caller]
    fn change(&self, verb: &[&str], jobs: &[u64]) {
        let names: Vec<String> = jobs.iter().map(u64::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let run = self.master.cli(&[&["--output", "json", "job"], verb, &names[..]].concat()).expect(0);
        let done: Vec<_> = jobs.iter().map(|job| json!({"job": job, "done": true})).collect();
        assert_eq!(run.json(), done);
    }

    /// A change of all jobs of a queue that stand so.
    #[track_caller]
    fn change_all(&self, verb: &[&str], queue: &str, state: &str, count: usize) {
        let filter = ["--queue", queue, "--state", state, "--yes"];
        let run = self.master.cli(&[&["--output", "json", "job"], verb, &filter[..]].concat()).expect(0);
        assert_eq!(run.json()[0]["done"], count, "{}", run.out);
    }

    #[track_caller]
    fn expect_standing(&self, jobs: &[u64], expected: &str) {
        for job in jobs {
            let shown = self.master.cli(&["--output", "quiet", "job", "show", &job.to_string()]).expect(0);
            assert_eq!(shown.out.trim(), expected, "job {job}");
        }
    }

    /// Waits until the worker has stopped the command of a job, and said so.
    #[track_caller]
    fn is_stopped(&self, at: usize) {
        wait_until("the end of a command", 2 * WORKS_WITHIN, || !is_running(&self.pids[at]));
        let mut wire = self.master.connect();
        let reply = wire.ask(&wait(&[self.running[at]], false, 10_000));
        assert!(matches!(&reply, Reply::WaitOk(ends) if *ends == [(self.running[at], 5)]), "{reply:?}");
    }

    /// All that was cancelled is, and none of it is given; none of what was purged is there.
    fn expect_cancelled(&self) {
        self.expect_standing(&self.running, "cancelled");
        self.expect_standing(&self.pending[..5], "cancelled");
        self.expect_standing(&self.dead[1..], "cancelled");
        let stats = self.master.stats();
        let counts = |queue: &str| stats.queues.iter().find(|(name, _)| name == queue).expect("a queue").1;
        let ended = |cancelled: usize| Counts { cancelled: cancelled as u64, ..Counts::default() };
        assert_eq!(counts("half"), ended(HALF));
        assert_eq!(counts("later"), ended(DELAYED));
        assert_eq!(counts("work"), ended(RUNNING));
        assert_eq!(counts("purged"), Counts { purged: PURGED as u64, ..Counts::default() });
        assert_eq!(counts("dead").cancelled, DEAD as u64 - 1);
        for queue in ["half", "later", "work", "purged"] {
            self.master.connect().expect_none(queue);
        }
    }

    /// Requeueing needs room: it is done, or refused for want of it with nothing changed. Says whether it was done.
    #[track_caller]
    fn requeues(&self, job: u64) -> bool {
        let run = self.master.cli(&["--output", "json", "job", "requeue", &job.to_string()]);
        let is_done = run.status == 0;
        let refused = json!({"job": job, "done": false, "refused": "StorageFull"});
        let told = if is_done { json!({"job": job, "done": true}) } else { refused };
        assert_eq!(run.expect(if is_done { 0 } else { 6 }).json(), [told]);
        self.expect_standing(&[job], if is_done { "pending" } else { "dead" });
        is_done
    }
}

fn jobs_are_cancelled(disk: &Disk, sizes: &[usize]) {
    let place = Place::new();
    let mut full = Full::on(disk, sizes, &place);
    let is_requeued = full.requeues(full.dead[0]);
    full.change(&["cancel"], &full.pending[..5]);
    full.change(&["cancel"], &full.dead[1..3]);
    full.change(&["cancel"], &full.running[..1]);
    full.is_stopped(0);
    full.change(&["cancel", "--force"], &full.running[1..2]);
    full.expect_standing(&full.running[1..2], "cancelled");
    full.is_stopped(1);
    full.change_all(&["cancel"], "work", "in-flight", RUNNING - 2);
    (2..RUNNING).for_each(|at| full.is_stopped(at));
    full.change_all(&["cancel"], "half", "pending", HALF - 5);
    full.change_all(&["cancel"], "later", "delayed", DELAYED);
    full.change_all(&["purge"], "purged", "pending", PURGED);
    // One of the dead is left for a requeue.
    full.change(&["cancel"], &full.dead[3..]);
    full.expect_cancelled();
    full.worker.signal(Signal::TERM);
    wait_until("the end of the worker", SOON, || full.worker.exited().is_some());

    full.master.kill();
    full.master = Master::start(&disk.data(), &[]);
    full.expect_cancelled();
    println!("{} jobs are owed; a dead job was requeued on the full disk: {is_requeued}", full.owed.jobs.len());
    disk.empty();
    let mut wire = full.master.connect();
    full.owed.submit_works_soon(&mut wire);
    assert!(is_requeued || full.requeues(full.dead[0]), "there is room again");
    let got = wire.take("dead");
    assert_eq!((got.job, wire.ack(&got)), (full.dead[0], 0));
    full.owed.drain(&mut wire, 0);
    full.expect_cancelled();
    full.master.stop();
}

#[test]
fn jobs_are_cancelled_on_a_full_ext4() {
    let Some(disk) = or_skip("jobs_are_cancelled_on_a_full_ext4", Disk::ext4(DISK_MIB)) else { return };
    jobs_are_cancelled(&disk, SMALL);
}

#[test]
fn jobs_are_cancelled_on_a_full_tmpfs() {
    let Some(disk) = or_skip("jobs_are_cancelled_on_a_full_tmpfs", Disk::tmpfs(DISK_MIB)) else { return };
    jobs_are_cancelled(&disk, MIXED);
}
