//! The inputs that a corpus begins with, and where they come from.

use std::fs;
use std::path::{Path, PathBuf};

/// Names the directory that a target lays its seeds into before it begins.
pub const SEEDS_DIR: &str = "FALCON_FUZZ_SEEDS";

/// Lays the seeds into the directory that `FALCON_FUZZ_SEEDS` names; does nothing if it names none.
///
/// # Panics
/// When they cannot be written: a run without seeds would tell little.
pub fn lay(seeds: &[Vec<u8>]) {
    let Some(dir) = std::env::var_os(SEEDS_DIR).map(PathBuf::from) else { return };
    fs::create_dir_all(&dir).expect("the directory of the seeds");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(dir.join(format!("seed-{number:04}")), seed).expect("a seed");
    }
}

/// A file or directory of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project's root").join(path)
}

/// The frames of the dumps in `protocol.md`, which tests decode, too.
pub fn documented_frames() -> Vec<Vec<u8>> {
    let page = fs::read_to_string(project("protocol.md")).expect("protocol.md");
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for line in page.lines() {
        let Some((offset, dump)) = line.split_once("  ") else { continue };
        if offset.len() != 8 || !offset.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        if offset == "00000000" {
            frames.push(Vec::new());
        }
        let hex = dump.split('|').next().unwrap_or_default().split_whitespace();
        let bytes = hex.map(|byte| u8::from_str_radix(byte, 16).expect("a byte of a dump"));
        frames.last_mut().expect("a dump begins at 0").extend(bytes);
    }
    frames
}

/// The files of the log that the tests keep as a fixture, by name.
pub fn fixture() -> Vec<(String, Vec<u8>)> {
    let dir = project("tests/fixtures/log-v1/clean");
    let entries = fs::read_dir(dir).expect("the fixture").map(|entry| entry.expect("a file").path());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut files: Vec<_> = entries.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect();
    files.retain(|(name, _)| name != "expected.txt");
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event, jobs_file, record, recovery, reply, request, snapshot, state};

    /// The seeds and the run of a target.
    type Target = (fn() -> Vec<Vec<u8>>, fn(&[u8]));

    #[test]
    fn every_seed_passes() {
        let targets: [Target; 8] = [
            (request::seeds, request::run),
            (reply::seeds, reply::run),
            (record::seeds, record::run),
            (event::seeds, event::run),
            (state::seeds, state::run),
            (snapshot::seeds, snapshot::run),
            (jobs_file::seeds, jobs_file::run),
            (recovery::seeds, recovery::run),
        ];
        for (seeds, run) in targets {
            let seeds = seeds();
            assert!(seeds.len() > 5);
            seeds.iter().for_each(|seed| run(seed));
        }
    }

    #[test]
    fn the_dumps_are_frames() {
        let frames = documented_frames();
        assert!(frames.len() > 20);
        assert!(frames.iter().all(|frame| falconqueue::protocol::frame::split_frame(frame).is_ok()));
    }
}
