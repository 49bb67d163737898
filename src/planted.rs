//! Bugs that are put in on purpose, to try the tests: each has to be caught by one (`tools/planted-bugs.sh` names it).
//!
//! They are there only in a build with the feature `planted-bugs`, and awake only if the environment variable
//! `FALCON_BUG` names one. Without the feature [`is_planted`] is `false` when the program is compiled.

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Replies leave before what they tell is durable.
    AckBeforeSync,
    /// The directory is not synced after a segment got its name.
    NamesNotSynced,
    /// Records left over from an earlier use of a file are taken for records.
    EpochIgnored,
    /// A sync that failed is tried again, and its success believed.
    SyncRetried,
    /// Any lease of a job that is in flight is taken for its live one.
    NoFence,
    /// The replay goes on behind a record that cannot be read.
    ReplayPastHole,
    /// The records of a group that was cut off are taken.
    GroupTorn,
    /// A hole in what was durable is cut like a torn tail.
    DamageCut,
    /// A snapshot gets its name although the log is not durable up to it.
    SnapshotEarly,
    /// A job that changes while a snapshot is taken is not written as it was.
    SnapshotSmeared,
    /// A segment is given up although a replay needs it.
    SegmentGivenUpEarly,
    /// No room is kept for jobs that were accepted.
    NoRoomKept,
    /// A story forgets the attempts before the last.
    StoryCut,
    /// What must be understood and is not is passed over.
    UnknownIgnored,
}

impl Bug {
    /// All of them, with their names.
    pub const ALL: [(&str, Bug); 14] = [
        ("ack-before-sync", Bug::AckBeforeSync),
        ("names-not-synced", Bug::NamesNotSynced),
        ("epoch-ignored", Bug::EpochIgnored),
        ("sync-retried", Bug::SyncRetried),
        ("no-fence", Bug::NoFence),
        ("replay-past-hole", Bug::ReplayPastHole),
        ("group-torn", Bug::GroupTorn),
        ("damage-cut", Bug::DamageCut),
        ("snapshot-early", Bug::SnapshotEarly),
        ("snapshot-smeared", Bug::SnapshotSmeared),
        ("segment-given-up-early", Bug::SegmentGivenUpEarly),
        ("no-room-kept", Bug::NoRoomKept),
        ("story-cut", Bug::StoryCut),
        ("unknown-ignored", Bug::UnknownIgnored),
    ];
}

/// Whether this bug is awake.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(bug: Bug) -> bool {
    static AWAKE: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let awake = AWAKE.get_or_init(|| {
        let name = std::env::var("FALCON_BUG").ok().filter(|name| !name.is_empty())?;
        let found = Bug::ALL.into_iter().find(|(known, _)| *known == name);
        Some(found.unwrap_or_else(|| panic!("FALCON_BUG names no bug: {name:?}")).1)
    });
    *awake == Some(bug)
}

/// Whether this bug is awake: never, in a build without the feature.
#[cfg(not(feature = "planted-bugs"))]
pub const fn is_planted(_bug: Bug) -> bool {
    false
}
