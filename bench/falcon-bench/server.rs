//! The servers, each in each of its modes of durability: started in their own directory, ended by their process id.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::control;
use crate::machine::SERVER_CORE;
use crate::wire::WireKind;

/// In the server's directory.
const SOCKET: &str = "socket";

const START_MAX: Duration = Duration::from_mins(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Falcond,
    Redis,
    Beanstalkd,
    Nats,
    Echo,
}

/// A server in a mode.
#[derive(Debug, PartialEq, Eq)]
pub struct Mode {
    pub name: &'static str,
    /// What a reply means, in words.
    pub durability: &'static str,
    pub wire: WireKind,
    program: Program,
    arguments: &'static [&'static str],
    /// Whether jobs are there after the server was killed.
    pub keeps: bool,
    /// So slow with many jobs that it is left out there.
    pub is_slow: bool,
}

const REDIS_SYNC: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];
const REDIS_SECOND: &[&str] = &["--appendonly", "yes", "--appendfsync", "everysec"];

const fn mode(
    name: &'static str,
    durability: &'static str,
    wire: WireKind,
    program: Program,
    arguments: &'static [&'static str],
) -> Mode {
    Mode { name, durability, wire, program, arguments, keeps: true, is_slow: false }
}

/// All modes, FalconQueue's first.
pub static MODES: &[Mode] = &[
    mode("falcon-always", "fdatasync before each reply", WireKind::Falcon, Program::Falcond, &["--sync", "always"]),
    mode("falcon-never", "no sync", WireKind::Falcon, Program::Falcond, &["--sync", "never"]),
    mode("redis-list-always", "AOF, fdatasync before each reply", WireKind::RedisList, Program::Redis, REDIS_SYNC),
    mode("redis-list-everysec", "AOF, fdatasync once a second", WireKind::RedisList, Program::Redis, REDIS_SECOND),
    Mode {
        keeps: false,
        ..mode("redis-list-memory", "nothing on disk", WireKind::RedisList, Program::Redis, &["--appendonly", "no"])
    },
    mode("redis-stream-always", "AOF, fdatasync before each reply", WireKind::RedisStream, Program::Redis, REDIS_SYNC),
    Mode {
        is_slow: true,
        ..mode(
            "beanstalkd-always",
            "binlog, fsync at each write",
            WireKind::Beanstalk,
            Program::Beanstalkd,
            &["-b", ".", "-f", "0"],
        )
    },
    mode(
        "beanstalkd-50ms",
        "binlog, fsync every 50 ms",
        WireKind::Beanstalk,
        Program::Beanstalkd,
        &["-b", ".", "-f", "50"],
    ),
    Mode {
        keeps: false,
        ..mode("beanstalkd-memory", "nothing on disk", WireKind::Beanstalk, Program::Beanstalkd, &[])
    },
    mode("nats-file", "files, no sync for a message", WireKind::Nats, Program::Nats, &[]),
    Mode { keeps: false, ..mode("echo", "the ceiling: nothing is kept", WireKind::Echo, Program::Echo, &["echo"]) },
    Mode {
        keeps: false,
        ..mode(
            "echo-synced",
            "the ceiling with a disk: written and synced before each reply",
            WireKind::Echo,
            Program::Echo,
            &["echo", "--log", "log"],
        )
    },
];

impl Mode {
    /// Whether the program is there; if not, why.
    pub fn is_there(&self, falcond: &Path) -> Result<(), String> {
        let program = match self.program {
            Program::Falcond => {
                return falcond.exists().then_some(()).ok_or_else(|| "falcond is not built".into());
            }
            Program::Echo => return Ok(()),
            Program::Redis => "redis-server",
            Program::Beanstalkd => "beanstalkd",
            Program::Nats => "nats-server",
        };
        let found = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.map(|_| ()).map_err(|_| format!("{program} is not installed"))
    }

    pub fn is_falcon(&self) -> bool {
        self.program == Program::Falcond
    }

    /// Whether it can be reached at a Unix socket.
    pub fn has_socket(&self) -> bool {
        matches!(self.program, Program::Falcond | Program::Redis)
    }

    pub fn is_echo(&self) -> bool {
        self.program == Program::Echo
    }
}

/// A server that runs, and ends with this value.
pub struct Server {
    pub mode: &'static Mode,
    pub address: SocketAddr,
    /// The same server at a Unix socket, where it has one.
    pub socket: PathBuf,
    child: Child,
    dir: TempDir,
    falcond: PathBuf,
    sync_delay: Option<Duration>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

impl Server {
    /// Starts a server in a fresh directory below `base`. With a `sync_delay` each of its syncs takes so much longer.
    pub fn start(
        mode: &'static Mode,
        base: &Path,
        falcond: &Path,
        sync_delay: Option<Duration>,
    ) -> Result<Server, String> {
        let dir = tempfile::Builder::new().prefix("falcon-bench-").tempdir_in(base);
        let dir = dir.map_err(|error| format!("no directory in {}: {error}", base.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let child = spawn(mode, address.port(), dir.path(), falcond, sync_delay)?;
        let socket = dir.path().join(SOCKET);
        let mut server = Server { mode, address, socket, child, dir, falcond: falcond.to_owned(), sync_delay };
        // A server may listen before it is ready to work. Those that are prepared first can only be connected to.
        server.wait_for(|server| match mode.program {
            Program::Nats | Program::Echo => TcpStream::connect(server.address).is_ok(),
            _ => server.jobs().is_ok(),
        })?;
        control::prepare(mode.wire, address)?;
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn jobs(&self) -> Result<u64, String> {
        control::jobs(self.mode.wire, self.address)
    }

    fn wait_for(&mut self, is_so: impl Fn(&Server) -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !is_so(self) {
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(3).collect();
                return Err(format!("the server ended with {status}: {tail:?}"));
            }
            if begun.elapsed() > START_MAX {
                return Err("the server did not start in time".into());
            }
            // Asked more often, the question would take a part of the server's core.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn kill(&mut self) {
        // It is gone already if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills the server, starts it again, and returns how long it took until it counted `jobs` jobs again.
    pub fn restart(&mut self, jobs: u64) -> Result<Duration, String> {
        self.kill();
        let begun = Instant::now();
        self.child = spawn(self.mode, self.address.port(), self.dir.path(), &self.falcond, self.sync_delay)?;
        self.wait_for(|server| server.jobs().is_ok())?;
        let span = begun.elapsed();
        let found = self.jobs()?;
        if found == jobs { Ok(span) } else { Err(format!("{found} jobs of {jobs} are there after the restart")) }
    }

    /// Bytes of its files.
    pub fn disk_bytes(&self) -> f64 {
        fn below(dir: &Path) -> u64 {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            let sizes = entries.map(|entry| match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => below(&entry.path()),
                Ok(metadata) => metadata.len(),
                Err(_) => 0,
            });
            sizes.sum()
        }
        below(self.dir.path()) as f64
    }
}

fn spawn(mode: &Mode, port: u16, dir: &Path, falcond: &Path, sync_delay: Option<Duration>) -> Result<Child, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = match mode.program {
        Program::Falcond => falcond,
        Program::Redis => Path::new("redis-server"),
        Program::Beanstalkd => Path::new("beanstalkd"),
        Program::Nats => Path::new("nats-server"),
        Program::Echo => &own,
    };
    let mut command = Command::new("taskset");
    // However this process ends, the server ends with it.
    command.args(["-c", SERVER_CORE, "setpriv", "--pdeathsig", "KILL"]);
    if let Some(delay) = sync_delay {
        // Only syncs stop the process: the filter is in the kernel. The tracer stands beside it, not above it, so that
        // the process that was started is the server.
        let inject = format!("inject=fsync,fdatasync,msync:delay_enter={}", delay.as_micros());
        command.args(["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"]);
        command.args(["-e", "trace=fsync,fdatasync,msync", "-e", &inject]);
    }
    command.arg(program).args(mode.arguments);
    let port = port.to_string();
    match mode.program {
        Program::Falcond => {
            let (tcp, unix) = (format!("127.0.0.1:{port}"), format!("unix:{SOCKET}"));
            command.args(["--data-dir", "data", "--listen", &tcp, "--listen", &unix])
        }
        // A rewrite of the log at a moment of its own would be a gift to the others.
        Program::Redis => command
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--auto-aof-rewrite-percentage", "0"])
            .args(["--maxclients", "15000", "--protected-mode", "no", "--unixsocket", SOCKET]),
        Program::Beanstalkd => command.args(["-l", "127.0.0.1", "-p", &port, "-z", "2097152"]),
        Program::Nats => command.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd", "data"]),
        Program::Echo => command.args(["--port", &port]),
    };
    let log = std::fs::File::create(dir.join("server.log")).map_err(|error| error.to_string())?;
    let log_too = log.try_clone().map_err(|error| error.to_string())?;
    command.current_dir(dir).stdin(Stdio::null()).stdout(log).stderr(log_too);
    command.spawn().map_err(|error| format!("taskset: {error}"))
}

/// What a program says of its version.
pub fn version(program: &str) -> String {
    let child = Command::new(program).arg("-v").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return format!("{program}: not there") };
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Nothing to say is an answer too.
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    let _ = child.wait();
    line.trim().to_owned()
}
