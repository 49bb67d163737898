//! What the system tells: processor time and memory of a process, and a line about the machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The core of servers and the core of the load generator.
pub const SERVER_CORE: &str = "0";
const OWN_CORE: &str = "1";

/// The unit of processor times in `/proc`.
const TICK: Duration = Duration::from_millis(10);

/// Pins this process; servers that it starts are pinned elsewhere by `taskset`.
pub fn pin_self() -> Result<(), String> {
    let pid = std::process::id().to_string();
    let done = Command::new("taskset")
        .args(["-a", "-c", "-p", OWN_CORE, &pid])
        .output()
        .map_err(|error| format!("taskset: {error}"))?;
    if done.status.success() { Ok(()) } else { Err("taskset failed: are there two cores?".into()) }
}

/// Processor time that a process and all its threads used.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; `utime` and `stime` are the 12th and 13th words after it.
    let mut words = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks: u32 = words.next()?.parse::<u32>().ok()? + words.next()?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}

/// A line of `/proc/PID/status` that is a number of KiB, in bytes.
pub fn memory_bytes(pid: u32, name: &str) -> Result<f64, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
    kib.map(|kib| f64::from(kib) * 1024.0).ok_or_else(|| format!("no {name} of process {pid}"))
}

/// Bytes that a process has made the disk write, maps included.
pub fn disk_bytes(pid: u32) -> Result<u64, String> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).map_err(|error| error.to_string())?;
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    bytes.ok_or_else(|| format!("no write_bytes of process {pid}"))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Cores, processor, kernel, file system, load; no name of a machine.
pub fn line(dir: &Path) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // All cores, not only the one that this process is pinned to.
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let kernel = said("uname", &["-r"]);
    let kernel = kernel.split('-').next().unwrap_or_default();
    let file_system = said("df", &["--output=fstype", &dir.to_string_lossy()]);
    let file_system = file_system.lines().last().unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{cores} cores, {model}, Linux {kernel}, {file_system}; load average at the start {load}")
}

/// The commit that is measured.
pub fn commit() -> String {
    said("git", &["describe", "--always", "--dirty", "--abbrev=10"])
}
