//! A running `falcond` on a directory and a port of its own.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustix::process::Signal;
use tempfile::TempDir;

use super::place::scratch;
use super::process::{Process, Run};
use super::programs::{Dump, FALCOND, cli_with, dump, worker};
use super::wait::{SOON, wait_for, wait_until};
use super::wire::{Stats, Wire};

/// Small segments start faster; tests about segments give their own size.
pub const SMALL_SEGMENT: &str = "16777216";

/// A port that stays ours while nobody listens on it: bound, but not listening. So a master can
/// come, go and come back on it, and a connect in between is refused.
pub struct Port {
    _held: OwnedFd,
    pub address: String,
}

impl Port {
    pub fn reserve() -> Port {
        let flags = SocketFlags::CLOEXEC;
        let held = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let held = held.expect("a socket");
        net::sockopt::set_socket_reuseaddr(&held, true).expect("SO_REUSEADDR");
        net::bind(&held, &std::net::SocketAddrV4::new([127, 0, 0, 1].into(), 0)).expect("bind");
        let bound = net::getsockname(&held).expect("getsockname");
        let bound = std::net::SocketAddrV4::try_from(bound).expect("an IPv4 address");
        Port { _held: held, address: bound.to_string() }
    }
}

/// A `falcond` that must refuse to start: it leaves by itself and never says that it listens.
#[track_caller]
pub fn falcond_refuses(args: &[&str], status: i32) -> Run {
    let small = ["--segment-bytes", SMALL_SEGMENT];
    let sized = args.contains(&small[0]);
    let args = [if sized { &[] } else { &small[..] }, args].concat();
    let run = Process::spawn(Command::new(FALCOND).args(args), b"").finish().expect(status);
    assert_eq!(run.out, "", "a master that does not serve says nothing on stdout");
    run
}

/// A running `falcond`.
pub struct Master {
    process: Process,
    pub address: String,
    pub dir: PathBuf,
    own_dir: Option<TempDir>,
}

impl Master {
    /// On a directory of its own.
    pub fn fresh(args: &[&str]) -> Master {
        let dir = scratch();
        let mut master = Master::start(dir.path(), args);
        master.own_dir = Some(dir);
        master
    }

    pub fn start(dir: &Path, args: &[&str]) -> Master {
        Master::start_at(dir, "127.0.0.1:0", args)
    }

    pub fn start_at(dir: &Path, listen: &str, args: &[&str]) -> Master {
        let mut command = Command::new(FALCOND);
        command.arg("--data-dir").arg(dir).args(["--listen", listen]);
        if !args.contains(&"--segment-bytes") {
            command.args(["--segment-bytes", SMALL_SEGMENT]);
        }
        Master::serving(Process::spawn(command.args(args), b""), dir)
    }

    /// Waits until it says that it listens.
    pub fn serving(mut process: Process, dir: &Path) -> Master {
        let line = wait_for("the line `listening on`", SOON, || {
            let line = process.stdout().split_once('\n').map(|(line, _)| line.to_string());
            assert!(line.is_some() || process.exited().is_none(), "falcond left");
            line
        });
        let address = line.strip_prefix("listening on ").expect("`listening on HOST:PORT`").to_string();
        Master { process, address, dir: dir.to_path_buf(), own_dir: None }
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Memory of its own that it has from the system, in bytes.
    pub fn anonymous_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("status");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("KiB") * 1024
    }

    /// Waits until it has left by itself.
    #[track_caller]
    pub fn finish(self) -> Run {
        self.process.finish()
    }

    /// Stops it by a signal: it must exit with 0, having said one line on stdout in all its life.
    #[track_caller]
    pub fn stop_by(self, signal: Signal) {
        self.process.signal(signal);
        let run = self.process.finish().expect(0);
        assert_eq!(run.out, format!("listening on {}\n", self.address));
    }

    /// SIGTERM.
    #[track_caller]
    pub fn stop(self) {
        self.stop_by(Signal::TERM);
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.process.kill();
    }

    /// A connection that has said Hello.
    pub fn connect(&self) -> Wire {
        Wire::greeted(&self.address)
    }

    pub fn stats(&self) -> Stats {
        self.connect().stats()
    }

    /// Waits until so many jobs are completed.
    #[track_caller]
    pub fn wait_completed(&self, jobs: u64) {
        let mut wire = self.connect();
        let what = format!("{jobs} completed jobs");
        wait_until(&what, 3 * SOON, || wire.stats().totals.completed >= jobs);
    }

    pub fn cli(&self, args: &[&str]) -> Run {
        self.cli_input(args, b"")
    }

    pub fn cli_input(&self, args: &[&str], input: &[u8]) -> Run {
        let mut all = vec!["--master", &self.address];
        all.extend(args);
        cli_with(&all, &[], input)
    }

    /// `falcon-cli submit` that must work; gives the job ids.
    #[track_caller]
    pub fn submit(&self, args: &[&str]) -> Vec<u64> {
        self.submit_input(args, b"")
    }

    #[track_caller]
    pub fn submit_input(&self, args: &[&str], input: &[u8]) -> Vec<u64> {
        let mut all = vec!["--output", "quiet", "submit"];
        all.extend(args);
        let run = self.cli_input(&all, input).expect(0);
        run.out.lines().map(|id| id.parse().expect("a job id")).collect()
    }

    /// `falcon-worker` with these options, running this command for each job.
    pub fn worker(&self, options: &[&str], command: &[&str]) -> Process {
        worker(&self.address, options, command)
    }

    #[track_caller]
    pub fn dump(&self) -> Dump {
        dump(&self.dir)
    }
}
