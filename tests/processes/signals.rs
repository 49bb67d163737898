//! Signals that end a program in order, whichever of them a terminal, a shell or a supervisor sends.

use rustix::process::Signal;

use crate::harness::*;

const SIGNALS: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

#[test]
fn a_worker_finishes_what_it_runs_after_any_of_them() {
    for signal in SIGNALS {
        let place = Place::new();
        let master = Master::fresh(&[]);
        let id = master.submit_input(&["q", "-"], b"x")[0];
        let command = format!(": > '{}'; {}", place.path("began"), place.until("go"));
        let worker = master.worker(&["--queue", "q"], &["sh", "-c", &command]);
        wait_until("the job to be begun", SOON, || place.has("began"));
        worker.signal(signal);
        wait_until("the worker to have stopped polling", SOON, || master.stats().waiting_polls == 0);
        place.mark("go");
        worker.finish().expect(0);
        assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "ACK"], "{signal:?}");
        master.stop();
    }
}

#[test]
fn a_master_with_workers_of_its_own_finishes_what_they_run_after_any_of_them() {
    // SIGHUP is another word for it: the settings are to be read again.
    for signal in [Signal::INT, Signal::QUIT, Signal::TERM] {
        let place = Place::new();
        let dir = scratch();
        let command = format!(": > '{}'; {}", place.path("began"), place.until("go"));
        let args = ["--workers", "1", "--queue", "q", "--", "sh", "-c", &command];
        let master = Master::start(dir.path(), &args);
        let id = master.submit_input(&["q", "-"], b"x")[0];
        wait_until("the job to be begun", SOON, || place.has("began"));
        master.signal(signal);
        place.mark("go");
        master.finish().expect(0);
        assert_eq!(dump(dir.path()).story(id), ["ENQUEUE", "DISPATCH", "ACK"], "{signal:?}");
    }
}
