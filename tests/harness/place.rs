//! Directories that go with the test.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::wait::{SOON, wait_for};

/// A directory that goes with the test.
pub fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("falcon-test-").tempdir().expect("a temporary directory")
}

/// A directory through which a test and the commands of its jobs speak. A command that waits here
/// ends when the test does, even if its worker was killed.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        let place = Place(scratch());
        place.mark("open");
        place
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a plain path").to_string()
    }

    /// Leaves a file for the commands to find.
    pub fn mark(&self, name: &str) {
        fs::write(self.path(name), "").expect("a mark");
    }

    pub fn has(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    /// The content of a file that a command writes in one go.
    pub fn wait_content(&self, name: &str) -> String {
        wait_for(name, SOON, || {
            let content = fs::read_to_string(self.path(name)).ok();
            content.filter(|content| content.ends_with('\n'))
        })
    }

    /// How many files begin like this.
    pub fn count(&self, prefix: &str) -> usize {
        let names = fs::read_dir(self.0.path()).expect("the place");
        names.filter(|n| n.as_ref().unwrap().file_name().to_string_lossy().starts_with(prefix)).count()
    }

    /// Shell: wait until the test leaves this mark.
    pub fn until(&self, mark: &str) -> String {
        let (open, mark) = (self.path("open"), self.path(mark));
        format!("while [ -e '{open}' ] && [ ! -e '{mark}' ]; do sleep 0.02; done")
    }

    /// Shell: do not come to an end.
    pub fn for_ever(&self) -> String {
        self.until("never")
    }
}
