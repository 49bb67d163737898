//! The other ceiling: what a sync of a little data costs on the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::{Figures, add_percentiles, histogram};

const FILE_BYTES: u64 = 16 << 20;
const WRITE: [u8; 512] = [b'x'; 512];

/// Writes 512 bytes behind the last ones of a file whose blocks are all there, and syncs, again and again. With
/// `per_s` it also does so at that pace, as `paced_sync`: a disk and a processor that were idle take longer.
pub fn run(base: &Path, span: Duration, per_s: Option<f64>) -> Result<Figures, String> {
    let mut figures = measure(base, span, "sync", Duration::ZERO)?;
    if let Some(per_s) = per_s {
        let pause = Duration::from_secs_f64(1.0 / per_s);
        figures.append(&mut measure(base, 4 * span, "paced_sync", pause)?);
    }
    Ok(figures)
}

/// A file of zeros, written a page at a time, whose blocks are all there.
pub fn written_file(path: &Path, bytes: u64) -> std::io::Result<File> {
    let file = File::create(path)?;
    for place in 0..bytes / 4096 {
        file.write_all_at(&[0; 4096], place * 4096)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn measure(base: &Path, span: Duration, name: &str, pause: Duration) -> Result<Figures, String> {
    let measure = || -> std::io::Result<Figures> {
        let dir = tempfile::tempdir_in(base)?;
        let file = written_file(&dir.path().join("log"), FILE_BYTES)?;
        let (mut latencies, begun, mut offset) = (histogram(), Instant::now(), 0);
        while begun.elapsed() < span {
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            file.write_all_at(&WRITE, offset)?;
            offset = (offset + WRITE.len() as u64) % FILE_BYTES;
            let before = Instant::now();
            file.sync_data()?;
            latencies.saturating_record(before.elapsed().as_nanos() as u64);
        }
        let mut figures = Figures::new();
        let per_s = latencies.len() as f64 / begun.elapsed().as_secs_f64();
        figures.insert(format!("{name}s_per_s"), per_s);
        add_percentiles(&mut figures, name, &latencies);
        Ok(figures)
    };
    measure().map_err(|error| format!("the disk failed: {error}"))
}
