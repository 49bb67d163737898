//! Exit statuses of the three programs, and the failure that carries one. Those from 64 on are `sysexits.h`'s.

use std::fmt;
use std::io::{self, Write};

/// What was waited for, or looked at, is not well.
pub const FAILED: u8 = 1;
/// Bad usage of the command line.
pub const USAGE: u8 = 2;
pub const NOT_FOUND: u8 = 3;
pub const TIMED_OUT: u8 = 4;
/// A job that was waited for has ended and was not kept: how it ended is not known any more.
pub const NOT_KEPT: u8 = 5;
/// The master refused, or would refuse.
pub const REFUSED: u8 = 6;
/// The log is damaged, or a later falcond wrote it.
pub const DATA_DAMAGED: u8 = 65;
/// The master cannot be reached, or cannot listen.
pub const UNAVAILABLE: u8 = 69;
pub const SYSTEM: u8 = 71;
/// A worker could begin none of the jobs that it got.
pub const CANNOT_BEGIN: u8 = 72;
/// The data directory cannot be made or used.
pub const CANNOT_CREATE: u8 = 73;
/// A read, write or sync failed.
pub const IO: u8 = 74;
/// Another daemon has the data directory.
pub const IN_USE: u8 = 75;
/// The master does not know the token, wants one, or wants one of another role.
pub const DENIED: u8 = 77;
/// A file that configures the program cannot be used.
pub const CONFIG: u8 = 78;

/// Why a program ends without having done its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u8,
    /// A sentence for a person.
    pub text: String,
}

impl Failure {
    pub fn new(status: u8, text: impl fmt::Display) -> Failure {
        Failure { status, text: text.to_string() }
    }
}

/// Writes words for a person to stderr. Where that fails there is nobody to tell.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
