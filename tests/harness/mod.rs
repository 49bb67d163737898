//! The harness of the tests from outside: real binaries on 127.0.0.1, each test with a directory
//! and a port of its own, every process killed on drop, every wait with a deadline.
//!
//! Nothing here uses the crate `falconqueue`. What a test knows of the product it knows as a
//! stranger would: from the command line and from `protocol.md` (modules [`frames`] and [`wire`]).
//!
//! Beside it lie parts that a crate takes by themselves: `faults`, `logs`, `dice` (the generator of random numbers) and
//! `history` (the judge of what clients saw).

// Two crates use it, each without what only the other one needs.
#![allow(dead_code, unused_imports)]

pub mod frames;
pub mod hole;
pub mod http;
pub mod wire;

mod master;
mod place;
mod process;
mod programs;
mod terminal;
mod wait;

pub use master::*;
pub use place::*;
pub use process::*;
pub use programs::*;
pub use terminal::*;
pub use wait::*;
