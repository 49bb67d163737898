//! Words of events: why an attempt or a job ended, and which bytes of a job lie in the log.

use crate::codec::coded;
use crate::job::Ending;

coded! {
    /// Why an attempt does not count.
    ReleaseReason {
        /// Its worker gave the job back.
        Reported = 1 "reported";
        /// Its lease ended before its worker had begun the job.
        NeverBegun = 2 "never-begun";
        /// Its worker gave the job back, and may have begun it: it does not expire any more.
        Begun = 3 "begun";
    }
}

coded! {
    /// Why a job is dead.
    DeathReason {
        /// Its last attempt failed.
        Attempts = 1 "attempts";
        /// The worker said that further attempts are pointless.
        ForGood = 2 "for_good";
        /// The lease of its last attempt ran out.
        Lease = 3 "lease";
    }
}

impl DeathReason {
    /// How the last attempt ended.
    pub fn ending(self) -> Ending {
        match self {
            DeathReason::Attempts => Ending::Failed,
            DeathReason::ForGood => Ending::ForGood,
            DeathReason::Lease => Ending::LeaseRanOut,
        }
    }
}

coded! {
    /// Which bytes of a job lie in the log.
    Part {
        Payload = 1 "payload";
        /// Of a job that is not completed.
        Story = 2 "story";
        Headers = 3 "headers";
        /// Of a job that is completed.
        Result = 4 "result";
    }
}
