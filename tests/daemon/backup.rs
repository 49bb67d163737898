//! `falcon-cli backup` from outside: a copy of a master under load, and a master that is started on the copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use rustix::process::Signal;

use crate::harness::wire::{Job, Wire, job};
use crate::harness::*;
use crate::logs::{contents, files};
use serde_json::Value;

/// A payload that tells its number, long enough for some hundred to fill a segment.
fn payload(n: u64) -> Vec<u8> {
    let mut payload = format!("{n}:").into_bytes();
    let byte = b'a' + u8::try_from(n % 26).unwrap();
    payload.resize(20_000 + usize::try_from(n % 7).unwrap() * 5_000, byte);
    payload
}

/// A job that comes back until it is acked.
fn lasting(n: u64) -> Job {
    Job { max_attempts: 1000, ..job("q", payload(n)) }
}

/// What the clients of a master know.
#[derive(Default)]
struct Known {
    /// Jobs whose submit was answered OK, and their numbers.
    submitted: BTreeMap<u64, u64>,
    /// Jobs whose ack was sent.
    ack_sent: BTreeSet<u64>,
    /// Jobs whose ack was answered OK.
    acked: BTreeSet<u64>,
}

/// A client that submits and one that acks, until they are told to stop.
struct Load {
    known: Arc<Mutex<Known>>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn on(master: &Master) -> Load {
        let (known, stop) = (Arc::new(Mutex::new(Known::default())), Arc::new(AtomicBool::new(false)));
        let (mut submitter, mut worker) = (master.connect(), master.connect());
        let (to, end) = (Arc::clone(&known), Arc::clone(&stop));
        let submits = thread::spawn(move || {
            for n in (0..).step_by(4).take_while(|_| !end.load(Ordering::Acquire)) {
                let numbers = [n, n + 1, n + 2, n + 3];
                let ids = submitter.put_all(&numbers.map(lasting));
                to.lock().unwrap().submitted.extend(ids.into_iter().zip(numbers));
            }
        });
        let (to, end) = (Arc::clone(&known), Arc::clone(&stop));
        let acks = thread::spawn(move || {
            while !end.load(Ordering::Acquire) {
                for delivery in worker.poll(&["q"], 3, 100, 2_000) {
                    // Every third is left to its lease.
                    if delivery.job % 3 > 0 {
                        to.lock().unwrap().ack_sent.insert(delivery.job);
                        if worker.ack(&delivery) == 0 {
                            to.lock().unwrap().acked.insert(delivery.job);
                        }
                    }
                }
            }
        });
        Load { known, stop, threads: vec![submits, acks] }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    fn end(self) -> Known {
        self.stop.store(true, Ordering::Release);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::into_inner(self.known).unwrap().into_inner().unwrap()
    }
}

/// The files of a copy have the sizes that were told, and really take that much.
#[track_caller]
fn is_as_told(copy: &Path, told: &Value) {
    let bytes: usize = contents(copy).iter().map(|(_, content)| content.len()).sum();
    assert_eq!(number(told, "bytes"), bytes as u64);
    for file in told["files"].as_array().unwrap() {
        let found = fs::metadata(copy.join(text(file, "name"))).unwrap();
        assert_eq!(found.len(), number(file, "size"));
        assert!(found.blocks() * 512 >= found.len(), "{file} is not sparse");
    }
}

/// A master on the copy delivers what was there when the backup began, with its payloads, and nothing that was acked.
fn is_served(copy: &Path, mut missing: BTreeSet<u64>, acked: &BTreeSet<u64>, known: &Known) {
    let restored = Master::start(copy, &[]);
    let mut wire = restored.connect();
    let mut seen = BTreeSet::new();
    wait_until("every job that was there when the backup began", 2 * SOON, || {
        for delivery in wire.poll(&["q"], 100, 500, 60_000) {
            assert!(!acked.contains(&delivery.job), "job {} was acked before", delivery.job);
            assert!(seen.insert(delivery.job), "job {} is delivered once", delivery.job);
            missing.remove(&delivery.job);
            // One whose submit was not yet answered has a payload, too.
            let n = known.submitted.get(&delivery.job);
            assert!(n.is_none_or(|n| delivery.payload == payload(*n)), "the payload of job {}", delivery.job);
        }
        missing.is_empty()
    });
    let next = wire.put("q", "a job of its own");
    assert!(Some(&next) > seen.last(), "ids go on");
    restored.stop();
}

#[test]
fn a_copy_of_a_busy_master_keeps_its_promises() {
    let (dir, place) = (scratch(), scratch());
    let copy = place.path().join("copy");
    let master = Master::start(dir.path(), &[]);
    let load = Load::on(&master);
    wait_until("two segments and a snapshot", SOON, || {
        files(dir.path(), "wal").len() > 1 && !files(dir.path(), "snap").is_empty()
    });
    let (submitted, acked): (BTreeSet<u64>, _) = {
        let known = load.known();
        (known.submitted.keys().copied().collect(), known.acked.clone())
    };
    assert!(submitted.len() > 100 && acked.len() > 10);
    let run = master.cli(&["backup", copy.to_str().unwrap(), "--output", "json"]).expect(0);
    let maybe_acked = load.known().ack_sent.clone();
    is_as_told(&copy, &run.json()[0]);

    // The master goes on, takes snapshots and cleans; that is nothing to the copy.
    let copied = contents(&copy);
    let records = master.stats().records;
    wait_until("the master to go on", SOON, || master.stats().records > records + 300);
    let known = load.end();
    assert!(contents(&copy) == copied, "the copy stays as it is");
    master.kill();

    let missing: BTreeSet<u64> = submitted.difference(&maybe_acked).copied().collect();
    assert!(missing.len() > 20);
    is_served(&copy, missing, &acked, &known);
    cli(&["wal", "verify", copy.to_str().unwrap()]).expect(0);
}

#[test]
fn a_small_master_is_copied_and_told_in_three_ways() {
    let (master, place) = (Master::fresh(&[]), scratch());
    master.submit(&["q", "x", "--key", "k"]);
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let quiet = master.cli(&["backup", &path("a"), "--output", "quiet"]).expect(0);
    assert_eq!((quiet.out, quiet.err.as_str()), (format!("{}\n", path("a")), ""));
    fs::create_dir(path("b")).unwrap();
    let table = master.cli(&["backup", &path("b")]).expect(0).out;
    assert!(table.contains("1 files") && table.contains(&path("b")), "{table}");
    let restored = Master::start(Path::new(&path("b")), &[]);
    assert_eq!(restored.submit(&["q", "y", "--key", "k"]), [1], "keys are remembered");
}

#[test]
fn what_is_there_is_left_alone() {
    let (master, place) = (Master::fresh(&[]), scratch());
    master.submit(&["q", "x"]);
    fs::write(place.path().join("mine"), "precious").unwrap();
    let path = place.path().to_str().unwrap();
    let run = master.cli(&["backup", path]).expect(1);
    assert!(run.out.is_empty() && run.err.contains(path) && run.err.contains("not empty"), "{run:?}");
    assert_eq!(contents(place.path()).len(), 1);
    master.cli(&["backup", place.path().join("mine").to_str().unwrap()]).expect(73);
    master.cli(&["backup", place.path().join("no/such/parent").to_str().unwrap()]).expect(73);
    master.cli(&["backup"]).expect(2);
    let nobody = Port::reserve();
    let unreached = place.path().join("unreached");
    cli(&["--master", &nobody.address, "backup", unreached.to_str().unwrap()]).expect(69);
    assert!(!unreached.exists());
}

/// Passes what comes on, and cuts the connection after so many bytes of the master's.
fn cutting(address: &str, after: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (own, address) = (listener.local_addr().unwrap().to_string(), address.to_owned());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut master = TcpStream::connect(address).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), master.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to).ok());
        let mut left = after;
        let mut buffer = [0; 8192];
        while left > 0 {
            let came = master.read(&mut buffer).unwrap_or(0).min(left);
            if came == 0 || client.write_all(&buffer[..came]).is_err() {
                break;
            }
            left -= came;
        }
        client.shutdown(Shutdown::Both).ok();
        master.shutdown(Shutdown::Both).ok();
    });
    own
}

/// Passes what comes on, and from so many bytes of the master's on only when it is told to.
fn halting(address: &str, after: usize) -> (String, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (own, address) = (listener.local_addr().unwrap().to_string(), address.to_owned());
    let ((halts, halted), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel::<()>());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut master = TcpStream::connect(address).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), master.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to).ok());
        std::io::copy(&mut (&mut master).take(after as u64), &mut client).unwrap();
        halts.send(()).unwrap();
        may_go_on.recv().unwrap();
        // Whoever was stopped does not read to the end.
        std::io::copy(&mut master, &mut client).ok();
    });
    (own, halted, go_on)
}

#[test]
fn ctrl_c_ends_it_between_two_pieces_and_removes_what_was_copied() {
    let (master, place) = (Master::fresh(&[]), scratch());
    let mut wire: Wire = master.connect();
    (0..100).for_each(|n| drop(wire.put_all(&[lasting(n)])));
    let there = place.path().join("there");
    let (address, halted, go_on) = halting(&master.address, 1_500_000);
    let args = ["--master", &address, "backup", there.to_str().unwrap()];
    let backup = Process::spawn(Command::new(FALCON_CLI).args(args), b"");
    halted.recv_timeout(SOON).expect("a copy that is under way");
    assert!(!contents(&there).is_empty());
    backup.signal(Signal::INT);
    go_on.send(()).unwrap();
    let run = backup.finish().expect(1);
    let is_told = run.err.contains("stopped by Ctrl-C after ") && run.err.contains(" copied; it is removed again");
    assert!(is_told && run.err.contains("the same command begins anew"), "{run:?}");
    assert!(run.out.is_empty() && !there.exists(), "{run:?}");
    master.cli(&["backup", there.to_str().unwrap()]).expect(0);
}

#[test]
fn a_backup_that_fails_leaves_nothing_behind() {
    let (master, place) = (Master::fresh(&[]), scratch());
    let mut wire: Wire = master.connect();
    (0..100).for_each(|n| drop(wire.put_all(&[lasting(n)])));
    master.cli(&["snapshot"]).expect(0);
    let (made, there) = (place.path().join("made"), place.path().join("there"));
    fs::create_dir(&there).unwrap();
    for after in [100, 500, 50_000, 3_000_000] {
        for dir in [&made, &there] {
            let address = cutting(&master.address, after);
            let run = cli(&["--master", &address, "backup", dir.to_str().unwrap()]).expect(69);
            assert!(run.out.is_empty());
            assert_eq!((made.exists(), contents(&there).len()), (false, 0), "{after}: {}", run.err);
        }
    }
    master.cli(&["backup", there.to_str().unwrap()]).expect(0);
}
