//! The book, the README and the pages beside it: their commands run, their links lead somewhere, and their tables have
//! what the code has.

#[path = "../harness/mod.rs"]
mod harness;

mod commands;
mod links;
mod pages;
mod programs;
mod recording;
mod tables;
