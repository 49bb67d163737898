//! A census: which processes there are, as `/proc` tells. It takes some 20 µs a process, so those who need one at the
//! same time share it, and find what they look for by its indexes: hundreds of commands may be stopped at once.
//!
//! It is no picture of one moment: a process that is made while it is taken may be missing. Whoever must miss none
//! takes another.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use super::mark::{VARIABLE, is_of_worker};

/// Bytes of `/proc/PID/stat` that are read: more than it has.
const STAT_BYTES: usize = 1024;

/// The bit of a thread of the kernel among the flags of a process.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// One process, told from a later one with the same number by when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub pid: i32,
    /// In ticks since the machine started.
    pub started: u64,
}

/// What a census says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub identity: Identity,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// It has ended, and nobody has reaped it yet.
    pub is_dead: bool,
    pub is_kernel_thread: bool,
    /// The marks in its environment.
    pub marks: Option<Box<str>>,
}

impl Entry {
    #[cfg(test)]
    pub fn of(pid: i32, parent: i32, group: i32, session: i32) -> Entry {
        let identity = Identity { pid, started: 1 };
        Entry { identity, parent, group, session, is_dead: false, is_kernel_thread: false, marks: None }
    }
}

/// All processes, by what ties them together. A place is one in `entries`.
#[derive(Debug, Default)]
pub struct Census {
    pub entries: Vec<Entry>,
    places: BTreeMap<i32, usize>,
    children: BTreeMap<i32, Vec<usize>>,
    groups: BTreeMap<i32, Vec<usize>>,
    sessions: BTreeMap<i32, Vec<usize>>,
    marked: BTreeMap<Box<str>, Vec<usize>>,
}

impl Census {
    pub fn of(entries: Vec<Entry>) -> Census {
        let mut census = Census::default();
        for (place, entry) in entries.iter().enumerate() {
            census.places.insert(entry.identity.pid, place);
            census.children.entry(entry.parent).or_default().push(place);
            census.groups.entry(entry.group).or_default().push(place);
            census.sessions.entry(entry.session).or_default().push(place);
            for mark in entry.marks.iter().flat_map(|marks| marks.split('/')) {
                census.marked.entry(mark.into()).or_default().push(place);
            }
        }
        Census { entries, ..census }
    }

    pub fn place(&self, pid: i32) -> Option<usize> {
        self.places.get(&pid).copied()
    }

    /// Where this process is, and no later one with its number.
    pub fn place_of(&self, identity: Identity) -> Option<usize> {
        self.place(identity.pid).filter(|place| self.entries[*place].identity == identity)
    }

    pub fn children(&self, pid: i32) -> &[usize] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    pub fn group(&self, group: i32) -> &[usize] {
        self.groups.get(&group).map_or(&[], Vec::as_slice)
    }

    pub fn session(&self, session: i32) -> &[usize] {
        self.sessions.get(&session).map_or(&[], Vec::as_slice)
    }

    /// Those who carry this mark.
    pub fn marked(&self, mark: &str) -> &[usize] {
        self.marked.get(mark).map_or(&[], Vec::as_slice)
    }

    /// Those who carry a mark of the worker with this name.
    pub fn marked_by(&self, worker: &str) -> impl Iterator<Item = usize> {
        self.marked.iter().filter(move |(mark, _)| is_of_worker(mark, worker)).flat_map(|(_, places)| places).copied()
    }
}

/// The newest census, and when it was begun; whether a thread takes another.
#[derive(Default)]
struct Latest {
    census: Option<(Instant, Arc<Census>)>,
    is_counting: bool,
}

/// Counts all processes, or takes the count of another thread that began after this call.
pub fn census() -> Arc<Census> {
    static LATEST: LazyLock<(Mutex<Latest>, Condvar)> = LazyLock::new(Default::default);
    let (latest, counted) = &*LATEST;
    let asked_at = Instant::now();
    let mut state = latest.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some((_, census)) = state.census.as_ref().filter(|(begun_at, _)| *begun_at >= asked_at) {
            return Arc::clone(census);
        }
        if !state.is_counting {
            break;
        }
        // All wake together: in a queue for the lock, whoever asks again would overtake the others and count anew.
        state = counted.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.is_counting = true;
    drop(state);
    let begun_at = Instant::now();
    let census = Arc::new(count());
    let mut state = latest.lock().unwrap_or_else(PoisonError::into_inner);
    *state = Latest { census: Some((begun_at, Arc::clone(&census))), is_counting: false };
    drop(state);
    counted.notify_all();
    census
}

/// What there is to say of one process, but for its marks; nothing if it is gone.
pub fn entry(pid: i32) -> Option<Entry> {
    if !is_proc_ours() {
        return None;
    }
    let mut bytes = [0; STAT_BYTES];
    let length = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut bytes)).ok()?;
    parse(pid, &String::from_utf8_lossy(&bytes[..length]))
}

/// Whether the numbers in `/proc` are those that this process knows. They are not if it has a namespace of process ids
/// of its own and still the `/proc` of another: then a number there is that of somebody else.
fn is_proc_ours() -> bool {
    static IS_OURS: LazyLock<bool> = LazyLock::new(|| {
        let own = std::fs::read_link("/proc/self").ok();
        own.and_then(|own| own.to_str()?.parse().ok()) == Some(std::process::id())
    });
    *IS_OURS
}

fn count() -> Census {
    // Without `/proc` nobody is seen, and nobody but a command's own group is ended.
    let Ok(all) = std::fs::read_dir("/proc") else { return Census::default() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut environment = Vec::new();
    let counted = pids.filter_map(|pid| {
        let mut entry = entry(pid).filter(|entry| !entry.is_kernel_thread)?;
        environment.clear();
        // That of a process of somebody else, or of one that has just ended, cannot be read: it has no mark of ours.
        if read_environment(pid, &mut environment).is_ok() {
            entry.marks = marks(&environment);
        }
        Some(entry)
    });
    Census::of(counted.collect())
}

fn read_environment(pid: i32, into: &mut Vec<u8>) -> io::Result<usize> {
    File::open(format!("/proc/{pid}/environ"))?.read_to_end(into)
}

fn marks(environment: &[u8]) -> Option<Box<str>> {
    let variables = environment.split(|byte| *byte == 0);
    let mut values = variables.filter_map(|variable| variable.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="));
    values.next().map(|value| String::from_utf8_lossy(value).into())
}

/// Reads `/proc/PID/stat`: the name in brackets may have any bytes, brackets too.
fn parse(pid: i32, stat: &str) -> Option<Entry> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    let large = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Entry {
        identity: Identity { pid, started: large(19)? },
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        is_dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        is_kernel_thread: large(6)? & KERNEL_THREAD != 0,
        marks: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_whatever_the_name_is() {
        let tail = "S 4 5 6 0 -1 4194304 1 0 0 0 2 3 0 0 20 0 1 0 987654 1000 200";
        let entry = parse(7, &format!("7 (a) (b 9) {tail}")).unwrap();
        assert_eq!(entry.identity, Identity { pid: 7, started: 987_654 });
        assert_eq!((entry.parent, entry.group, entry.session), (4, 5, 6));
        assert!(!entry.is_dead && !entry.is_kernel_thread);
        assert!(parse(7, &format!("7 (a) {}", tail.replace('S', "Z"))).unwrap().is_dead);
        assert!(parse(7, &format!("7 (a) {}", tail.replace("4194304", "2097152"))).unwrap().is_kernel_thread);
        assert_eq!(parse(7, "7 (a) S 4 5"), None);
        assert_eq!(parse(7, ""), None);
    }

    #[test]
    fn only_the_variable_itself_is_a_mark() {
        assert_eq!(marks(b"A=1\0FALCON_RUN=w-1/v-2\0B=2\0").as_deref(), Some("w-1/v-2"));
        assert_eq!(marks(b"XFALCON_RUN=w-1\0FALCON_RUNNER=w-1\0A=FALCON_RUN=w-1\0"), None);
        assert_eq!(marks(b""), None);
    }

    #[test]
    fn a_child_is_counted_in_its_group() {
        use std::os::unix::process::CommandExt;
        let mut child = std::process::Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = census().entries.iter().find(|entry| entry.identity.pid == pid).cloned().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((found.parent, found.group), (i32::try_from(std::process::id()).unwrap(), pid));
        assert!(!found.is_dead);
    }
}
