//! The files of a data directory, looked at and spoiled by tests.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The files with this extension, in the order of their names.
pub fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).expect("the directory").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    paths.sort();
    paths
}

/// Every file and its content, so that it can be seen whether anything was changed.
pub fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir).expect("the directory").map(|entry| entry.expect("an entry").path());
    let mut all: Vec<_> =
        paths.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    all.sort();
    all
}

/// Writes files, by their names, into another directory.
pub fn put(files: &[(PathBuf, Vec<u8>)], to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for (path, content) in files {
        fs::write(to.join(path.file_name().expect("a name")), content).expect("a copy");
    }
}

/// Copies the files of a directory.
pub fn copy(from: &Path, to: &Path) {
    put(&contents(from), to);
}

/// Where these bytes first stand in others. Bytes that cannot begin them are passed over fast: a segment has millions.
pub fn position(content: &[u8], bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(next) = content[from..].iter().position(|byte| *byte == bytes[0]) {
        if content[from + next..].starts_with(bytes) {
            return Some(from + next);
        }
        from += next + 1;
    }
    None
}

/// Where these bytes first stand in a file.
#[track_caller]
pub fn find(file: &Path, bytes: &[u8]) -> u64 {
    let content = fs::read(file).expect("a file");
    position(&content, bytes).unwrap_or_else(|| panic!("{bytes:?} is not in {}", file.display())) as u64
}

/// Flips one bit.
pub fn flip(file: &Path, at: u64) {
    let opened = OpenOptions::new().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    opened.read_exact_at(&mut byte, at).expect("a byte");
    opened.write_all_at(&[byte[0] ^ 4], at).expect("a byte");
}

/// Writes zeros.
pub fn zero(file: &Path, from: u64, bytes: usize) {
    let opened = OpenOptions::new().write(true).open(file).expect("a file");
    opened.write_all_at(&vec![0; bytes], from).expect("zeros");
}
