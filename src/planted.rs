//! Bugs that are put in on purpose, to try the tests: each has to be caught by one (`tools/planted-bugs.sh` names it).
//!
//! They are there only in a build with the feature `planted-bugs`, and awake only if the environment variable
//! `FALCON_BUG` names one. Without the feature [`is_planted`] is `false` when the program is compiled.

use crate::codec::coded;

coded! {
    /// One of them.
    Bug {
        /// Replies leave before what they tell is durable.
        AckBeforeSync = 0 "ack-before-sync";
        /// The directory is not synced after a segment got its name.
        NamesNotSynced = 1 "names-not-synced";
        /// Records left over from an earlier use of a file are taken for records.
        EpochIgnored = 2 "epoch-ignored";
        /// A sync that failed is tried again, and its success believed.
        SyncRetried = 3 "sync-retried";
        /// Any lease of a job that is in flight is taken for its live one.
        NoFence = 4 "no-fence";
        /// The replay goes on behind a record that cannot be read.
        ReplayPastHole = 5 "replay-past-hole";
        /// The records of a group that was cut off are taken.
        GroupTorn = 6 "group-torn";
        /// A hole in what was durable is cut like a torn tail.
        DamageCut = 7 "damage-cut";
        /// A snapshot gets its name although the log is not durable up to it.
        SnapshotEarly = 8 "snapshot-early";
        /// A job that changes while a snapshot is taken is not written as it was.
        SnapshotSmeared = 9 "snapshot-smeared";
        /// A segment is given up although a replay needs it.
        SegmentGivenUpEarly = 10 "segment-given-up-early";
        /// No room is kept for jobs that were accepted.
        NoRoomKept = 11 "no-room-kept";
        /// A story forgets the attempts before the last.
        StoryCut = 12 "story-cut";
        /// What must be understood and is not is passed over.
        UnknownIgnored = 13 "unknown-ignored";
        /// A lease that ends before its job was begun costs an attempt.
        UnbegunCounted = 14 "unbegun-counted";
        /// Jobs are given to be held although another poll could begin them.
        Hoarded = 15 "hoarded";
        /// Jobs are handed to a connection that leaves its replies unread.
        PouredOut = 16 "poured-out";
        /// What is kept is gone in half of its time.
        KeptBriefly = 17 "kept-briefly";
        /// That a job in flight was cancelled is not noted.
        CancelForgotten = 18 "cancel-forgotten";
        /// A job that is requeued has had its attempts.
        RequeueCounted = 19 "requeue-counted";
        /// The key of a job that is cancelled, purged or expired stays held.
        KeyStays = 20 "key-stays";
        /// Waits are looked at only when their time is over.
        WaitLate = 21 "wait-late";
        /// Whoever waits is told that all went well.
        WaitFlattered = 22 "wait-flattered";
        /// A job expires although it was begun.
        BegunExpires = 23 "begun-expires";
        /// A queue that is paused hands jobs out.
        PauseLeaks = 24 "pause-leaks";
        /// A queue takes jobs whatever its rules are.
        BoundsIgnored = 25 "bounds-ignored";
        /// Half of a backoff is drawn that was to be exact.
        BackoffDrawn = 26 "backoff-drawn";
        /// Jobs in flight are not counted by who waits until nothing is to run.
        IdleEarly = 27 "idle-early";
        /// A queue hands out one job more than may be in flight.
        LimitPassed = 28 "limit-passed";
        /// A segment is given up at once when the time of what was kept in it is over.
        FadedGivenUp = 29 "faded-given-up";
        /// A segment whose name a power cut took back is used again with all that stands in it.
        SpareRevived = 30 "spare-revived";
        /// A group is served until it has no jobs left.
        TurnKept = 31 "turn-kept";
        /// What is handed out takes no token.
        TokensFree = 32 "tokens-free";
        /// A group has one job more in flight than may be.
        GroupLimitPassed = 33 "group-limit-passed";
        /// In strict order others of a group pass the job that waits for another attempt.
        StrictPassed = 34 "strict-passed";
        /// A key is held although its job was handed out.
        KeyOutlivesStart = 35 "key-outlives-start";
        /// What replaces a job's payload leaves its times as they were.
        ReplacedInPart = 36 "replaced-in-part";
        /// A job runs as soon as one of those that it waits for has ended.
        ReadyEarly = 37 "ready-early";
        /// A job waits for one that has failed, whatever was to be done then.
        FailurePassed = 38 "failure-passed";
        /// It is not remembered of a job that is gone that it did not complete.
        NoTombstone = 39 "no-tombstone";
        /// The job of a tick stands in a group of its own.
        TickApart = 40 "tick-apart";
        /// A schedule's next tick is the one that it has just had.
        TickTwice = 41 "tick-twice";
        /// Ticks that were missed are forgotten, whatever was to become of them.
        MissedForgotten = 42 "missed-forgotten";
        /// Members of a batch are handed out although it is not sealed.
        BatchEarly = 43 "batch-early";
        /// Jobs that follow from another one stand in a group of their own.
        FollowUpApart = 44 "follow-up-apart";
        /// A batch that nobody fills stays open.
        BatchKeptOpen = 45 "batch-kept-open";
        /// Members may wait for what waits for their batch.
        CirclesMade = 46 "circles-made";
        /// Whoever watches is not told of every eighth record.
        RecentSkips = 47 "recent-skips";
    }
}

/// Whether this bug is awake.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(bug: Bug) -> bool {
    static AWAKE: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let awake = AWAKE.get_or_init(|| {
        let name = std::env::var("FALCON_BUG").ok().filter(|name| !name.is_empty())?;
        let found = Bug::ALL.iter().copied().find(|bug| bug.word() == name);
        Some(found.unwrap_or_else(|| panic!("FALCON_BUG names no bug: {name:?}")))
    });
    *awake == Some(bug)
}

/// Whether this bug is awake: never, in a build without the feature.
#[cfg(not(feature = "planted-bugs"))]
pub const fn is_planted(_bug: Bug) -> bool {
    false
}
