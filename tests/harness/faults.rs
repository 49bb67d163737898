//! Faults from below: file systems of a test's own, small enough to fill, and system calls that fail on demand
//! (`strace`). Where the machine does not give what a test needs, the test says so by its name and is skipped.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{FALCOND, Process, SOON, scratch, wait_for};

pub const MIB: u64 = 1 << 20;

/// What a test needs, or the sentence that says what the machine lacks: then the test is skipped.
pub fn or_skip<T>(name: &str, found: Result<T, String>) -> Option<T> {
    found.inspect_err(|lacking| println!("skipped {name}: needs {lacking}")).ok()
}

/// Runs a program to its end. Where it does not work, the error says what is lacking.
fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let lacking = |why: &str| format!("`{program} {}` to work ({why})", args.join(" "));
    let output = Command::new(program).args(args).output().map_err(|e| lacking(&e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| lacking(said.lines().next().unwrap_or_default()))
}

/// A mount that goes with its value, also when the test panics.
struct Mount {
    at: PathBuf,
    /// What `mount` is told before the mount point.
    args: Vec<String>,
}

impl Mount {
    fn new(at: PathBuf, args: &[&str]) -> Result<Mount, String> {
        fs::create_dir(&at).expect("a mount point");
        let mount = Mount { at, args: args.iter().map(|arg| (*arg).to_string()).collect() };
        mount.mount().map(|()| mount)
    }

    fn place(&self) -> &str {
        self.at.to_str().expect("a plain path")
    }

    fn mount(&self) -> Result<(), String> {
        let mut args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        args.push(self.place());
        run("mount", &args)
    }

    fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        mounts.lines().any(|line| line.split(' ').nth(1) == Some(self.place()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.is_mounted() {
            return;
        }
        // A daemon that was just killed may hold it for a moment. A loop device goes with the mount.
        for _ in 0..20 {
            if run("umount", &[self.place()]).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        if let Err(why) = run("umount", &["--lazy", self.place()]) {
            eprintln!("{why}");
        }
    }
}

/// A small file system of a test's own.
pub struct Disk {
    mount: Mount,
    _image: Option<Mount>,
    _home: TempDir,
}

impl Disk {
    /// An ext4 on a loop device, in blocks of 4 KiB as on a disk of usual size, with nothing left to be written later.
    /// Its image lies in memory: what the machine's own disk does meanwhile is nothing to the test.
    pub fn ext4(mib: u64) -> Result<Disk, String> {
        let home = scratch();
        let memory = Disk::memory(home.path().join("memory"), mib + 16)?;
        let image = memory.at.join("image");
        File::create(&image).expect("an image").set_len(mib * MIB).expect("a sparse image");
        let image = image.to_str().expect("a plain path");
        let settled = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-b", "4096", "-m", "0", "-J", "size=4", "-E", settled, image])?;
        let mount = Mount::new(home.path().join("root"), &["-o", "loop", image])?;
        Ok(Disk { mount, _image: Some(memory), _home: home })
    }

    pub fn tmpfs(mib: u64) -> Result<Disk, String> {
        let home = scratch();
        let mount = Disk::memory(home.path().join("root"), mib)?;
        Ok(Disk { mount, _image: None, _home: home })
    }

    fn memory(at: PathBuf, mib: u64) -> Result<Mount, String> {
        Mount::new(at, &["-t", "tmpfs", "-o", &format!("size={mib}m"), "falcon-test"])
    }

    /// Unmounts and mounts an ext4 again: nothing of it is cached any more, as after a reboot.
    pub fn remount(&self) {
        run("umount", &[self.mount.place()]).expect("unmounted");
        self.mount.mount().expect("mounted again");
    }

    /// Sets how far the kernel reads ahead on the loop device, until the next mount.
    pub fn read_ahead(&self, kib: u32) {
        let setting = format!("/sys/block/{}/queue/read_ahead_kb", self.device());
        fs::write(setting, kib.to_string()).expect("a setting of the device");
    }

    /// The data directory of a daemon.
    pub fn data(&self) -> PathBuf {
        self.mount.at.join("data")
    }

    /// What `df` calls available.
    pub fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.mount.at).expect("statvfs");
        stat.f_bavail * stat.f_frsize
    }

    /// Takes space from outside, so that about so much is left; a daemon that runs may take some at the same moment.
    pub fn fill(&self, leave_bytes: u64) {
        let file = self.filler("filler");
        for _ in 0..100 {
            let taken = file.metadata().expect("its size").len();
            let more = self.free_bytes().saturating_sub(leave_bytes);
            if more == 0 {
                break;
            }
            let flags = rustix::fs::FallocateFlags::empty();
            let allocated = rustix::fs::fallocate(&file, flags, taken, more);
            assert!(allocated.is_ok() || allocated == Err(rustix::io::Errno::NOSPC), "{allocated:?}");
        }
        file.sync_all().expect("a synced filler");
    }

    /// Takes what is left, to the last block.
    pub fn fill_up(&self) {
        let mut file = self.filler("crumbs");
        for block in [vec![1; 65_536], vec![1; 4096]] {
            let refused = (0..10_000).find_map(|_| file.write_all(&block).err());
            let kind = refused.map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::StorageFull), "the end of the space");
        }
    }

    fn filler(&self, name: &str) -> File {
        let path = self.mount.at.join(name);
        OpenOptions::new().append(true).create(true).open(path).expect("a filler")
    }

    /// Gives back all that was taken from outside.
    pub fn empty(&self) {
        for name in ["filler", "crumbs"] {
            let removed = fs::remove_file(self.mount.at.join(name));
            assert!(removed.is_ok() || removed.is_err_and(|e| e.kind() == ErrorKind::NotFound), "{name}");
        }
    }

    /// Bytes written to the loop device since it was set up, when all that waits has been written.
    pub fn bytes_written(&self) -> u64 {
        rustix::fs::syncfs(File::open(&self.mount.at).expect("the root")).expect("syncfs");
        let stat = fs::read_to_string(format!("/sys/block/{}/stat", self.device())).expect("its statistics");
        let sectors: u64 = stat.split_whitespace().nth(6).expect("field 7").parse().expect("sectors");
        sectors * 512
    }

    /// The name of the loop device.
    fn device(&self) -> String {
        let mounts = fs::read_to_string("/proc/mounts").expect("the mounts");
        let root = Some(self.mount.place());
        let ours = mounts.lines().find(|line| line.split(' ').nth(1) == root).expect("our mount");
        ours.split(' ').next().expect("a device").trim_start_matches("/dev/").to_string()
    }
}

/// The system calls of a daemon, as `strace` wrote them down.
pub struct Calls(Vec<String>);

/// `strace`, if it may trace here.
pub fn strace() -> Result<(), String> {
    run("strace", &["-o", "/dev/null", "true"])
}

/// A `falcond` on this directory under strace with these options: what it calls of `traced` is written to a file. The
/// process is the daemon itself: strace stands behind it.
pub fn traced_falcond(dir: &Path, log: &Path, traced: &str, options: &[&str]) -> Process {
    let mut command = Command::new("strace");
    // strace stops a thread at every call, traced or not, until its first traced one; each thread begins with `rseq`.
    let traced = format!("trace=rseq,{traced}");
    command.args(["-D", "-f", "--seccomp-bpf", "-ttt", "-yy", "-s", "0", "-e", &traced]);
    command.args(options).arg("-o").arg(log);
    command.arg(FALCOND).arg("--data-dir").arg(dir);
    Process::spawn(command.args(["--listen", "127.0.0.1:0", "--segment-bytes", "16777216"]), b"")
}

impl Calls {
    /// What was traced, once the daemon has left and strace has written its last line.
    pub fn of(log: &Path) -> Calls {
        let whole = wait_for("the end of the trace", SOON, || {
            let text = fs::read_to_string(log).ok()?;
            text.lines().last().is_some_and(|line| line.contains("+++ ")).then_some(text)
        });
        Calls(whole.lines().map(str::to_string).collect())
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// Where the call came back with the error that was injected.
    pub fn failed_at(&self) -> Option<usize> {
        self.0.iter().position(|line| line.contains("(INJECTED)"))
    }

    /// When the call failed, by the wall clock.
    pub fn failure_at(&self) -> Duration {
        clock(&self.0[self.failed_at().expect("a call that failed")])
    }

    /// How long the daemon lived on after that.
    pub fn lived_on(&self) -> Duration {
        clock(self.0.last().expect("its end")).saturating_sub(self.failure_at())
    }
}

/// The wall clock of a line: it stands after the thread's id.
fn clock(line: &str) -> Duration {
    let stamp = line.split_whitespace().nth(1).and_then(|stamp| stamp.parse().ok());
    Duration::from_secs_f64(stamp.unwrap_or_else(|| panic!("no time in {line:?}")))
}
