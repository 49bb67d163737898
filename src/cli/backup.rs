//! `falcon-cli backup`: a consistent copy of a running master's log, over the protocol. A master that is started on
//! the copy is the restore.
//!
//! Each file is written under another name and synced. All get their names at the end, in such an order that a daemon
//! refuses a copy that was cut short. The copy is then read back and checked like any log. What was written by a backup
//! that failed is removed.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::args::Common;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::render::tell;
use super::wal::verify;
use super::wal::watched::Watched;
use super::{Stop, connect};
use crate::client::{Client, LogFile};
use crate::exit::{self, Failure};
use crate::limits::{READ_BYTES_MAX, SEGMENT_PAGE_BYTES};
use crate::wal::{DirDevice, LogDevice, NewFile, SegmentIo, names};

/// Copies the log of the master that the options name into `dir`.
pub fn run(common: &Common, dir: &Path) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let files = client.backup()?;
    if let Some(odd) = files.iter().find(|file| !is_of_a_log(&file.name)) {
        let text = format!("the master names a file {:?}, which is none of a log", odd.name);
        return Err(Failure::new(exit::FAILED, text).into());
    }
    let is_ours = make_empty(dir)?;
    copy(&client, &files, dir).inspect_err(|_| remove(&files, dir, is_ours))?;
    let bytes: u64 = files.iter().map(|file| u64::from(file.size)).sum();
    let shown = dir.display();
    let text = format!("{} files, {bytes} bytes, were copied to {shown}; a master started there goes on", files.len());
    let listed: Vec<Value> =
        files.iter().map(|file| json!({"name": file.name, "bytes": file.bytes, "size": file.size})).collect();
    let json = json!({"dir": shown.to_string(), "bytes": bytes, "files": listed});
    Ok(tell(common.output, text, json, shown.to_string())?)
}

fn is_of_a_log(name: &str) -> bool {
    let name = [name.to_owned()];
    !names::segments(&name).is_empty() || !names::snapshots(&name).is_empty()
}

/// Makes the directory; says whether it was not there before.
fn make_empty(dir: &Path) -> Result<bool, Failure> {
    let shown = dir.display();
    let cannot = |error: io::Error| {
        Failure::new(exit::CANNOT_CREATE, format!("the directory {shown} cannot be made or used: {error}"))
    };
    match fs::create_dir(dir) {
        Ok(()) => {
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = File::open(parent.unwrap_or(Path::new("."))).map_err(cannot)?;
            parent.sync_all().map_err(cannot)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if fs::read_dir(dir).map_err(cannot)?.next().is_some() {
                let text = format!("{shown} is not empty; name a directory that is, or one that is not there yet");
                return Err(Failure::new(exit::FAILED, text));
            }
            Ok(false)
        }
        Err(error) => Err(cannot(error)),
    }
}

/// Files of a master's log that are copied.
struct Copying<'c> {
    client: &'c Client,
    dir: &'c Path,
    device: DirDevice,
    interrupt: Interrupt,
    progress: Progress,
    done: u64,
    of: u64,
}

fn copy(client: &Client, files: &[LogFile], dir: &Path) -> Result<(), Stop> {
    let device = DirDevice::open(dir, SegmentIo::Auto).map_err(writing(dir))?;
    let (interrupt, progress) = (Interrupt::on_ctrl_c()?, Progress::of_bytes());
    let of = files.iter().map(|file| u64::from(file.size)).sum();
    let mut copying = Copying { client, dir, device, interrupt, progress, done: 0, of };
    let copied = (0..).zip(files).try_for_each(|(number, file)| copying.file(number, file));
    copying.progress.end();
    copied?;
    // The newest segment first and the snapshot last: a copy that lacks some of them has no beginning, and is refused.
    for file in files.iter().rev() {
        copying.device.rename(&names::being_made(&file.name), &file.name).map_err(writing(dir))?;
        copying.device.sync_names().map_err(writing(dir))?;
    }
    let watched = Watched::until(copying.device, copying.interrupt);
    let verified = verify::look(&watched);
    watched.look_at_ctrl_c(&format!("all was copied and not yet checked; {REMOVED}"))?;
    watched.end();
    if let Some(fault) = verified?.faults.first() {
        return Err(Failure::new(exit::FAILED, format!("the copy is not what the master has: {fault}")).into());
    }
    Ok(())
}

impl Copying<'_> {
    /// Copies a file under the name that it has while it is made.
    fn file(&mut self, number: u16, file: &LogFile) -> Result<(), Stop> {
        let being_made = names::being_made(&file.name);
        let mut copy = self.device.create(&being_made).map_err(writing(self.dir))?;
        let mut offset = 0;
        while offset < file.bytes {
            self.look_at_ctrl_c()?;
            let piece = self.client.read(number, offset, READ_BYTES_MAX.min(file.bytes - offset))?;
            let read = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            if read == 0 || read > file.bytes - offset {
                let text = format!("the master gave {read} bytes of {} at {offset}", file.name);
                return Err(Failure::new(exit::FAILED, text).into());
            }
            append(&mut *copy, &piece).map_err(writing(self.dir))?;
            offset += read;
            self.show(read);
        }
        // Really written, so that the daemon never meets a full disk in its map.
        self.device.zero(&being_made, offset, file.size.max(offset)).map_err(writing(self.dir))?;
        self.show(file.size.saturating_sub(offset));
        Ok(())
    }

    fn words(&self) -> String {
        format!("{} of {} copied", HumanBytes(self.done), HumanBytes(self.of))
    }

    /// Shows how far it is with so many bytes more.
    fn show(&mut self, bytes: u32) {
        self.done += u64::from(bytes);
        self.progress.show(self.done, self.of, &self.words());
    }

    fn look_at_ctrl_c(&self) -> Result<(), Failure> {
        if !self.interrupt.is_asked() {
            return Ok(());
        }
        Err(Failure::new(exit::FAILED, format!("stopped by Ctrl-C after {}; {REMOVED}", self.words())))
    }
}

/// What becomes of a copy that is stopped.
const REMOVED: &str = "it is removed again, and the same command begins anew";

fn writing(dir: &Path) -> impl Fn(io::Error) -> Stop {
    move |error| Failure::new(exit::IO, format!("writing the copy in {} failed: {error}", dir.display())).into()
}

/// In pages: the daemon maps this file, and where the page cache holds larger pieces each sync writes a whole one.
fn append(copy: &mut dyn NewFile, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(SEGMENT_PAGE_BYTES).try_for_each(|page| copy.append(page))
}

/// Removes what was written. What cannot be removed is told: it keeps the next backup from this directory.
fn remove(files: &[LogFile], dir: &Path, is_ours: bool) {
    let gone = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            exit::say(&format!("falcon-cli: removing {}: {error}", path.display()));
        }
        _ => {}
    };
    for file in files {
        gone(&dir.join(&file.name));
        gone(&dir.join(names::being_made(&file.name)));
    }
    if is_ours && let Err(error) = fs::remove_dir(dir) {
        exit::say(&format!("falcon-cli: removing {}: {error}", dir.display()));
    }
}
