//! Under which headings the options of a command stand in its help, in the order in which they come there.

pub const WHAT: &str = "What";
pub const WHICH: &str = "Which jobs";
pub const RECORDS: &str = "Which records";
pub const WHEN: &str = "When";
pub const ATTEMPTS: &str = "Attempts";
pub const KEY: &str = "Key";
pub const BATCH: &str = "Batch";
pub const GROUPS: &str = "Groups and rates";
pub const LIMITS: &str = "Limits";
pub const OUTPUT: &str = "Output";
pub const CONNECTION: &str = "Connection";
