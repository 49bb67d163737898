//! The blocks of commands run: those that are fenced as `sh`, in the order of their page, in one shell with a directory
//! of its own. `sh,norun` and all else is only shown. A page whose first command is not a master
//! has one that is running already.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::harness::{FALCOND, Port, SOON, is_running, scratch, wait_for, wait_until};
use crate::pages::{self, Block};

/// What a page may take.
const PAGE_MAX: Duration = Duration::from_mins(2);
/// Starts a master and waits until it serves.
const MASTER: &str = "falcond --data-dir page-data >page-ready & until [ -s page-ready ]; do sleep 0.02; done\n";

/// Pages with commands, each by itself.
macro_rules! pages_that_run {
    ($($name:ident: $page:literal,)*) => {
        const RUN: &[&str] = &[$($page),*];
        $(#[test]
        fn $name() {
            run($page);
        })*
    };
}

pages_that_run! {
    readme: "README.md",
    tutorial: "docs/src/tutorial.md",
    jobs: "docs/src/jobs.md",
    keys: "docs/src/keys.md",
    groups: "docs/src/groups.md",
    waits: "docs/src/waits.md",
    schedules: "docs/src/schedules.md",
    mending: "docs/src/mending.md",
    running: "docs/src/running.md",
    backup: "docs/src/backup.md",
    monitoring: "docs/src/monitoring.md",
    workers: "docs/src/workers.md",
    reuse: "docs/src/reuse.md",
    http: "docs/src/http.md",
    wire: "docs/src/wire.md",
}

#[test]
fn every_page_with_commands_runs() {
    let with_commands = pages::all().into_iter().filter(|page| !commands(page).is_empty());
    let listed: BTreeSet<String> = RUN.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(with_commands.collect::<BTreeSet<String>>(), listed);
}

#[test]
fn every_block_says_what_it_is() {
    for page in pages::all() {
        let (blocks, _) = pages::cut(&pages::text(&page));
        for block in blocks {
            assert!(!block.kind.is_empty(), "{page}:{}: a block without a word behind its fence", block.line);
        }
    }
}

/// The blocks of a page that are to be run. Commands for people who work on the code are not.
fn commands(page: &str) -> Vec<Block> {
    let is_for_builders = page.starts_with("bench/") || page == "CONTRIBUTING.md";
    let (blocks, _) = pages::cut(&pages::text(page));
    blocks.into_iter().filter(|block| block.kind == "sh" && !is_for_builders).collect()
}

/// One script of all blocks, in which each says when it begins.
fn script(page: &str, http: &str) -> String {
    let blocks = commands(page);
    let starts_master = blocks.first().is_some_and(|block| block.text.starts_with("falcond "));
    let mut script = String::from("set -eu -o pipefail\n");
    if !starts_master {
        script.push_str(MASTER);
    }
    for block in blocks {
        let text = block.text.replace("127.0.0.1:3253", http).replace("localhost:3253", http);
        script.push_str(&format!("echo '--- {page}:{}'\n{text}", block.line));
    }
    script
}

/// A shell and all that it started; none of them outlives this value.
struct Shell {
    child: Child,
    group: Pid,
    _port: Port,
}

impl Shell {
    fn signal(&self, signal: Signal) {
        // Fails when all are gone.
        kill_process_group(self.group, signal).ok();
    }

    /// Whether a process of the group runs; those that wait for their parents to look do not.
    fn has_any(&self) -> bool {
        let group = self.group.as_raw_nonzero().to_string();
        let pids = fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        pids.filter(|pid| is_running(pid)).any(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Behind the name: the state, the parent, the group.
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2)) == Some(&group)
        })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let end_at = Instant::now() + SOON;
        while self.has_any() && Instant::now() < end_at {
            thread::sleep(Duration::from_millis(20));
        }
        self.signal(Signal::KILL);
        self.child.wait().ok();
    }
}

fn run(page: &str) {
    let dir = scratch();
    let at = |name: &str| dir.path().join(name);
    for name in ["examples", "tools"] {
        symlink(pages::root().join(name), at(name)).expect("a link");
    }
    // The port of HTTP is another one for each page, so that pages can run side by side.
    let http = Port::reserve();
    fs::write(at("page.sh"), script(page, &http.address)).expect("a script");
    let output = File::create(at("page.out")).expect("a file");
    let mut shell = shell(dir.path(), &output);
    let status = wait_for(page, PAGE_MAX, || shell.child.try_wait().expect("a status"));
    let told = fs::read_to_string(at("page.out")).expect("its output");
    assert!(status.success(), "{page}: {status}\n{told}");
    drop(shell);
}

fn shell(dir: &Path, output: &File) -> Shell {
    let bin = Path::new(FALCOND).parent().expect("a directory");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH"));
    // It is ours until the shell is gone.
    let port = Port::reserve();
    let address = &port.address;
    let mut command = Command::new("bash");
    command.arg("page.sh").current_dir(dir).process_group(0).stdin(Stdio::null());
    command.stdout(output.try_clone().expect("a file")).stderr(output.try_clone().expect("a file"));
    command.env_remove("FALCON_TOKEN_FILE").env("PATH", path);
    command.env("FALCON_MASTER", address).env("FALCOND_LISTEN", address).env("FALCOND_SEGMENT_BYTES", "16777216");
    let child = command.spawn().expect("bash");
    Shell { group: Pid::from_child(&child), child, _port: port }
}

#[test]
fn what_a_page_leaves_running_ends_with_it() {
    let dir = scratch();
    fs::write(dir.path().join("page.sh"), "sleep 1000 & echo $! >pid\n").expect("a script");
    let output = File::create(dir.path().join("page.out")).expect("a file");
    let shell = shell(dir.path(), &output);
    let pid = wait_for("its process", SOON, || {
        let text = fs::read_to_string(dir.path().join("pid")).ok()?;
        text.trim().parse::<u32>().ok()
    });
    drop(shell);
    wait_until("its end", SOON, || !is_running(&pid.to_string()));
}
