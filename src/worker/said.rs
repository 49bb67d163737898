//! What a command says while it runs: its result, and the last words of both its outputs, as a reason if it fails. What
//! it writes to stderr can go through line by line, with the job's id before it.

use std::fmt;
use std::sync::Arc;

use crate::ids::JobId;
use crate::limits::{ERROR_TEXT_BYTES_MAX, RESULT_BYTES_MAX};

/// A line longer than this goes through in pieces.
const LINE_BYTES_MAX: usize = 4096;

/// Where lines of jobs go; it is called with whole lines, and must not wait.
#[derive(Clone)]
pub struct Through(Arc<Put>);

type Put = dyn Fn(&[u8]) + Send + Sync;

impl Through {
    /// Lines go to this function.
    pub fn new(put: impl Fn(&[u8]) + Send + Sync + 'static) -> Through {
        Through(Arc::new(put))
    }
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Through")
    }
}

#[derive(Debug)]
pub struct Said {
    job: JobId,
    through: Option<Through>,
    /// What of the line that it writes has not gone through yet.
    line: Vec<u8>,
    result: Vec<u8>,
    /// It wrote more than a result takes.
    pub was_cut: bool,
    out: Tail,
    errors: Tail,
}

impl Said {
    pub fn new(job: JobId, through: Option<Through>) -> Said {
        let (out, errors) = (Tail::default(), Tail::default());
        Said { job, through, line: Vec::new(), result: Vec::new(), was_cut: false, out, errors }
    }

    /// It wrote this to stdout.
    pub fn out(&mut self, bytes: &[u8]) {
        let room = RESULT_BYTES_MAX - self.result.len();
        self.was_cut |= bytes.len() > room;
        self.result.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.out.take(bytes);
    }

    /// It wrote this to stderr.
    pub fn errors(&mut self, bytes: &[u8]) {
        self.errors.take(bytes);
        if self.through.is_none() {
            return;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= LINE_BYTES_MAX {
                self.pass();
            }
        }
    }

    /// Lets the line through that it has begun.
    pub fn pass(&mut self) {
        let Some(Through(put)) = self.through.as_ref().filter(|_| !self.line.is_empty()) else { return };
        let mut line = format!("job {}: ", self.job).into_bytes();
        line.append(&mut self.line);
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        put(&line);
    }

    pub fn take_result(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.result)
    }

    /// What happened, and the command's last words: those on stderr, or else on stdout.
    pub fn reason(&self, what: &str) -> String {
        let [errors, out] = [&self.errors, &self.out].map(Tail::text);
        let last_words = if errors.is_empty() { out } else { errors };
        if last_words.is_empty() {
            return what.to_owned();
        }
        let room = ERROR_TEXT_BYTES_MAX - what.len() - 2;
        let start = last_words.ceil_char_boundary(last_words.len().saturating_sub(room));
        format!("{what}: {}", &last_words[start..])
    }
}

/// The last bytes of what was written, as many as a reason takes.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 4 * ERROR_TEXT_BYTES_MAX {
            self.0.drain(..self.0.len() - ERROR_TEXT_BYTES_MAX);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn stderr_goes_through_by_lines_with_the_id_before_each() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let through = Through::new(move |line| kept.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap()));
        let mut said = Said::new(JobId(7), Some(through));
        said.errors(b"one\ntw");
        said.errors(b"o\n\nthr");
        said.pass();
        said.pass();
        said.errors(&[b'x'; LINE_BYTES_MAX + 10]);
        said.pass();
        let lines = lines.lock().unwrap();
        assert_eq!(lines[..4], ["job 7: one\n", "job 7: two\n", "job 7: \n", "job 7: thr\n"]);
        assert_eq!(lines[4].len(), "job 7: \n".len() + LINE_BYTES_MAX + 10);
        assert_eq!(said.reason("exit status 1").len(), ERROR_TEXT_BYTES_MAX);
    }

    #[test]
    fn the_last_words_on_stdout_are_the_reason_where_there_are_none_on_stderr() {
        let mut said = Said::new(JobId(7), None);
        assert_eq!(said.reason("exit status 1"), "exit status 1");
        said.out(&vec![b'x'; 2 * RESULT_BYTES_MAX]);
        said.out(b" the end\n");
        assert!(said.was_cut && said.reason("exit status 1").ends_with("xx the end"));
        assert_eq!(said.take_result().len(), RESULT_BYTES_MAX);
        said.errors(b"no such file\n");
        assert_eq!(said.reason("exit status 1"), "exit status 1: no such file");
    }
}
