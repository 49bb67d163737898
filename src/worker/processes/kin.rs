//! Kin: the processes that came of a command, or of all commands of a worker. Pure but for the signal at the end.
//!
//! Whoever carries a mark is kin; so are children of kin, and whoever is in a session or a process group of kin: these
//! may have cleared their environment. Never kin by that are those who share the worker's own session or group. A
//! session cannot be joined, so another one that has kin was made by kin. A group can be joined by any process of its
//! session, so it counts only if its leader is kin, or has ended.
//!
//! Not found is who cleared its environment, made a session of its own, and lost its parent, before anyone looked.

use std::collections::BTreeSet;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::census::{Census, Entry, Identity, entry};

/// Where a worker lives itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    pub pid: i32,
    pub group: i32,
    pub session: i32,
}

impl Home {
    /// Of this process, as a census would tell it: 0 for a group or a session that was made outside of its namespace of
    /// process ids (in most containers), and for all that cannot be told. No census has a kin by the number 0.
    pub fn own() -> Home {
        let pid = getpid().as_raw_nonzero().get();
        let (group, session) = entry(pid).map_or((0, 0), |own| (own.group, own.session));
        Home { pid, group, session }
    }
}

/// All that came of those at these places, and they themselves. Takes as long as there are kin, not processes.
pub fn kin(census: &Census, home: Home, roots: impl IntoIterator<Item = usize>) -> Vec<&Entry> {
    let mut to_see: Vec<usize> = roots.into_iter().collect();
    let (mut seen, mut groups, mut sessions) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    while let Some(place) = to_see.pop() {
        let entry = &census.entries[place];
        let pid = entry.identity.pid;
        if pid == home.pid || !seen.insert(place) {
            continue;
        }
        found.push(entry);
        to_see.extend(census.children(pid));
        if ![0, home.session].contains(&entry.session) && sessions.insert(entry.session) {
            to_see.extend(census.session(entry.session));
        }
        // The group that it leads, and the one that it is in if nobody leads that any more.
        let has_leader = census.place(entry.group).is_some_and(|leader| !census.entries[leader].is_dead);
        for group in std::iter::once(pid).chain((!has_leader).then_some(entry.group)) {
            if ![0, home.group].contains(&group) && groups.insert(group) {
                to_see.extend(census.group(group));
            }
        }
    }
    found
}

/// Sends a signal to this process, and to no later one of the same number.
pub fn signal(to: Identity, signal: Signal) {
    let Some(pid) = Pid::from_raw(to.pid) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The descriptor holds the process that has the number now, so that it can be looked whether it is the one.
    if entry(to.pid).is_some_and(|entry| entry.identity == to) {
        // One that has ended needs none, and one that is not ours to signal goes on.
        let _ = pidfd_send_signal(&pidfd, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home { pid: 10, group: 10, session: 5 };

    fn pids(entries: &[Entry], root: i32) -> Vec<i32> {
        let census = Census::of(entries.to_vec());
        let found = kin(&census, HOME, census.place(root));
        let mut pids: Vec<i32> = found.iter().map(|entry| entry.identity.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn descendants_are_kin_and_so_is_who_shares_their_sessions() {
        let census = [
            Entry::of(33, 1, 33, 30),
            Entry::of(10, 5, 10, 5),
            Entry::of(20, 10, 20, 5),
            Entry::of(30, 20, 30, 30),
            Entry::of(31, 30, 30, 30),
            // Another command, and a program beside the worker.
            Entry::of(40, 10, 40, 5),
            Entry::of(50, 5, 50, 5),
        ];
        assert_eq!(pids(&census, 20), [20, 30, 31, 33]);
        assert_eq!(pids(&census, 99), [0; 0]);
    }

    #[test]
    fn the_workers_own_session_and_group_are_nobodys_kin() {
        // 20 went back to the worker's group.
        let census = [Entry::of(10, 5, 10, 5), Entry::of(20, 10, 10, 5), Entry::of(21, 5, 10, 5)];
        assert_eq!(pids(&census, 20), [20]);
    }

    #[test]
    fn a_group_counts_if_its_leader_is_kin_or_gone() {
        let members = [Entry::of(21, 10, 60, 5), Entry::of(61, 5, 60, 5)];
        assert_eq!(pids(&members, 21), [21, 61]);
        let foreign = [Entry::of(60, 5, 60, 5), members[0].clone(), members[1].clone()];
        assert_eq!(pids(&foreign, 21), [21], "somebody else's group was joined");
        let own = [Entry::of(21, 10, 21, 5), Entry::of(22, 1, 21, 5)];
        assert_eq!(pids(&own, 21), [21, 22]);
    }

    #[test]
    fn who_carries_a_mark_is_found_by_it_and_by_its_worker() {
        let marked = |pid, marks: &str| Entry { marks: Some(marks.into()), ..Entry::of(pid, 1, pid, 5) };
        let census = Census::of(vec![marked(20, "w-1"), marked(21, "w-12"), marked(22, "v-3/w-1"), marked(23, "ww-1")]);
        let pids = |places: Vec<usize>| -> Vec<i32> {
            places.into_iter().map(|place| census.entries[place].identity.pid).collect()
        };
        assert_eq!(pids(census.marked("w-1").to_vec()), [20, 22]);
        assert_eq!(pids(census.marked("w").to_vec()), [0; 0]);
        assert_eq!(pids(census.marked_by("w").collect()), [20, 22, 21]);
        assert_eq!(pids(census.marked_by("v").collect()), [22]);
        let later = Identity { pid: 20, started: 2 };
        assert_eq!((census.place_of(later), census.place(20)), (None, Some(0)));
    }

    #[test]
    fn the_worker_is_never_found() {
        let census = [Entry::of(10, 20, 20, 20), Entry::of(20, 1, 20, 20)];
        assert_eq!(pids(&census, 20), [20]);
    }

    #[test]
    fn a_process_with_the_number_of_another_gets_no_signal() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = entry(pid).unwrap().identity;
        signal(Identity { started: identity.started + 1, ..identity }, Signal::KILL);
        assert!(child.try_wait().unwrap().is_none());
        signal(identity, Signal::KILL);
        assert!(!child.wait().unwrap().success());
    }
}
