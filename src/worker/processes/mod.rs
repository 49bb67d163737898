//! The processes of commands: how they are started, found and ended.
//!
//! | part | has |
//! | --- | --- |
//! | `mark` | what each command carries in its environment, and its descendants with it |
//! | `census` | which processes there are at one moment |
//! | `kin` | which of them came of a command, or of a worker: pure |
//! | `started` | a command that was started, and how it ends with its kin |
//! | `orphans` | descendants whose parents ended: they come to this process, and are reaped here |
//! | `reaper` | a process beside this one that ends what is left when this one is killed |
//! | `sweep` | what that process does |

mod census;
mod group;
mod kin;
mod mark;
mod orphans;
mod reaper;
mod started;
mod sweep;

pub use group::{is_runnable, timespec};
pub use reaper::Reaper;
pub use started::{KILL_WAIT, LEAVING_KILL_WAIT, LEAVING_TERM_GRACE, STOP_LOOK_INTERVAL, Started, TERM_GRACE};
