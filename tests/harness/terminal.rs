//! A terminal that a program writes to.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::programs::FALCON_CLI;
use super::wait::{SOON, wait_until};

/// A `falcon-cli` whose stdout is a terminal.
pub struct OnTerminal {
    pub child: Child,
    screen: File,
}

impl OnTerminal {
    /// On a terminal of so many columns, with these variables in its environment.
    pub fn spawn(columns: u16, env: &[(&str, &str)], args: &[&str]) -> OnTerminal {
        OnTerminal::begin(columns, Command::new(FALCON_CLI), env, args, false)
    }

    /// The same, on a terminal of its own that gives it keys, too.
    pub fn spawn_with_keys(columns: u16, env: &[(&str, &str)], args: &[&str]) -> OnTerminal {
        let mut command = Command::new("setsid");
        command.args(["--ctty", FALCON_CLI]);
        OnTerminal::begin(columns, command, env, args, true)
    }

    fn begin(columns: u16, mut command: Command, env: &[(&str, &str)], args: &[&str], has_keys: bool) -> OnTerminal {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&screen).expect("grantpt");
        unlockpt(&screen).expect("unlockpt");
        let name = ptsname(&screen, Vec::new()).expect("its name");
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).expect("its size");
        let inside = File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).expect("its end");
        command.env_remove("FALCON_MASTER").env_remove("COLUMNS").env_remove("NO_COLOR");
        command.envs(env.iter().copied()).args(args);
        let keys = if has_keys { Stdio::from(inside.try_clone().expect("its end")) } else { Stdio::null() };
        let child = command.stdin(keys).stdout(inside).stderr(Stdio::piped()).spawn().expect("falcon-cli");
        OnTerminal { child, screen: File::from(screen) }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).expect("a terminal that takes keys");
    }

    /// What it writes next, as it comes, and that is soon; nothing at the end of it.
    #[track_caller]
    pub fn read(&mut self) -> String {
        let patience = Timespec::try_from(SOON).expect("a time-out");
        let ready = poll(&mut [PollFd::new(&self.screen, PollFlags::IN)], Some(&patience)).expect("poll");
        assert!(ready > 0, "nothing more was written for {SOON:?}");
        let mut bytes = vec![0; 65536];
        // A terminal whose last writer is gone ends with an error.
        let read = self.screen.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).replace("\r\n", "\n")
    }

    /// The terminal goes away; whoever was on it has to leave by itself.
    #[track_caller]
    pub fn hang_up(mut self) {
        self.screen = File::open("/dev/null").expect("a file");
        wait_until("its end", SOON, || self.child.try_wait().expect("a status").is_some());
    }

    /// All that it wrote; it must end with this status.
    #[track_caller]
    pub fn finish(mut self, status: i32) -> String {
        let mut all = String::new();
        loop {
            let piece = self.read();
            if piece.is_empty() {
                break;
            }
            all.push_str(&piece);
        }
        let ended = self.child.wait().expect("its end");
        assert_eq!(ended.code(), Some(status), "{all}");
        all
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // Both fail only for a process that has left already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
