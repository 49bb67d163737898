//! Where a master listens, and how it is found there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::*;

/// A falcond on this directory, with nothing said that is not said here.
fn falcond(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(FALCOND);
    command.arg("--data-dir").arg(dir).args(["--segment-bytes", SMALL_SEGMENT]).args(args);
    command
}

fn submit_at(address: &str) -> Run {
    cli_with(&["--master", address, "--output", "quiet", "submit", "q", "x"], &[], b"")
}

#[test]
fn a_master_serves_all_its_addresses_and_removes_its_socket() {
    let dir = scratch();
    let path = dir.path().join("falcond.sock");
    let socket = format!("unix:{}", path.display());
    let args = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", &socket, "--socket-mode", "600"];
    let master = Master::serving(Process::spawn(&mut falcond(&dir.path().join("data"), &args), b""), dir.path());
    let addresses: Vec<&str> = master.address.split(", ").collect();
    assert_eq!((addresses.len(), addresses[2]), (3, socket.as_str()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for (number, address) in addresses.iter().enumerate() {
        assert_eq!(submit_at(address).expect(0).out, format!("{}\n", number + 1));
    }
    let port = addresses[0].rsplit_once(':').unwrap().1;
    submit_at(&format!("localhost:{port}")).expect(0);
    // A worker over the socket, whose command finds the master by it.
    let worker = worker(&socket, &["--queue", "q"], &["sh", "-c", "echo \"$FALCON_MASTER\""]);
    let run = cli_with(&["--master", &socket, "--output", "json", "submit", "q", "x", "--wait"], &[], b"").expect(0);
    assert_eq!(text(&run.json()[0], "result").trim_end(), socket);
    worker.signal(Signal::TERM);
    worker.finish().expect(0);
    master.signal(Signal::TERM);
    master.finish().expect(0);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_a_killed_master_left_is_taken_over_and_one_that_is_served_is_not() {
    let dir = scratch();
    let socket = format!("unix:{}", dir.path().join("s").display());
    let start = |data: &str| Process::spawn(&mut falcond(&dir.path().join(data), &["--listen", &socket]), b"");
    Master::serving(start("a"), dir.path()).kill();
    let master = Master::serving(start("a"), dir.path());
    let other = start("b").finish().expect(69);
    assert!(other.err.contains("another falcond serves there"), "{}", other.err);
    submit_at(&socket).expect(0);
    master.stop();
}

#[test]
fn other_hosts_are_let_in_only_with_a_token_or_by_an_open_word() {
    let dir = scratch();
    let data = dir.path().join("data");
    let refused = Process::spawn(&mut falcond(&data, &["--listen", "0.0.0.0:0"]), b"").finish().expect(2);
    assert!(refused.err.contains("there is no token") && refused.err.contains("--insecure"), "{}", refused.err);
    assert_eq!(refused.out, "");
    let open = ["--listen", "0.0.0.0:0", "--insecure"];
    let master = Master::serving(Process::spawn(&mut falcond(&data, &open), b""), dir.path());
    assert!(master.stderr().contains("whoever reaches it can do all"), "{}", master.stderr());
    master.stop();
    let token = dir.path().join("token");
    fs::write(&token, "secret").unwrap();
    let with_token = ["--listen", "[::]:0", "--token-file", token.to_str().unwrap()];
    let master = Master::serving(Process::spawn(&mut falcond(&data, &with_token), b""), dir.path());
    master.stop();
}

#[test]
fn a_token_file_that_others_can_read_is_warned_of() {
    let dir = scratch();
    let token = dir.path().join("token");
    fs::write(&token, "secret").unwrap();
    for (mode, is_warned) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
        let master = Master::fresh(&["--token-file", token.to_str().unwrap()]);
        assert_eq!(master.stderr().contains("can be read by others"), is_warned, "{}", master.stderr());
        master.stop();
    }
}

/// Runs falcond with this socket as the one that systemd hands over.
fn activated(socket: UnixListener, dir: &Path, args: &str) -> Process {
    let line = format!(
        "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec {FALCOND} --data-dir {} --segment-bytes {SMALL_SEGMENT} \
         {args}",
        dir.display()
    );
    Process::spawn_on(Command::new("sh").args(["-c", &line]), socket.into())
}

#[test]
fn sockets_that_are_handed_over_are_served() {
    let dir = scratch();
    let path = dir.path().join("handed");
    let address = format!("unix:{}", path.display());
    let process = activated(UnixListener::bind(&path).unwrap(), &dir.path().join("data"), "");
    let master = Master::serving(process, dir.path());
    assert_eq!(master.address, address, "and no other one: none was asked for");
    submit_at(&address).expect(0);
    master.stop();
    assert!(path.exists(), "it belongs to whoever made it");
    fs::remove_file(&path).unwrap();
    let process = activated(UnixListener::bind(&path).unwrap(), &dir.path().join("data"), "--listen 127.0.0.1:0");
    let master = Master::serving(process, dir.path());
    assert!(master.address.starts_with(&format!("{address}, 127.0.0.1:")), "{}", master.address);
    master.stop();
}

#[test]
fn systemd_is_told_that_it_serves_turns_and_stops() {
    let dir = scratch();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let heard = |word: &str| loop {
        let mut room = [0; 4096];
        let came = socket.recv(&mut room).unwrap_or_else(|error| panic!("{word}: {error}"));
        if String::from_utf8_lossy(&room[..came]).lines().any(|line| line == word) {
            return;
        }
    };
    let mut command = falcond(&dir.path().join("data"), &["--listen", "127.0.0.1:0"]);
    // A loop with nothing to do would sleep for longer.
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let master = Master::serving(Process::spawn(&mut command, b""), dir.path());
    heard("READY=1");
    for _ in 0..4 {
        heard("WATCHDOG=1");
    }
    master.signal(Signal::HUP);
    heard("RELOADING=1");
    heard("READY=1");
    master.signal(Signal::TERM);
    heard("STOPPING=1");
    master.finish().expect(0);
}

#[test]
fn an_address_that_is_none_is_refused_in_a_sentence() {
    for (address, why) in [("tcp://x:1", "write HOST:PORT"), ("unix:", "write unix:PATH"), ("x:y", "is no port")] {
        let run = cli_with(&["--master", address, "stats"], &[], b"").expect(2);
        assert!(run.err.contains(why), "{}", run.err);
    }
    let begun = std::time::Instant::now();
    let gone = cli_with(&["--master", "unix:/nowhere/falcond.sock", "--retry-for", "0s", "stats"], &[], b"").expect(69);
    assert!(gone.err.contains("unix:/nowhere/falcond.sock"), "{}", gone.err);
    assert!(begun.elapsed() < Duration::from_secs(5));
}
