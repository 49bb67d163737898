//! A durable queue inside a program: no daemon and no socket. What was submitted is still there when the program was
//! killed and is started again.
//!
//! ```sh
//! cargo run --example embedded -- ./orders 'two teapots' 'a kettle'
//! cargo run --example embedded -- ./orders
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use falconqueue::client::{Job, SubmitJob};
use falconqueue::embedded::{Embedded, EmbeddedConfig};
use falconqueue::worker::{Cancel, Handler, Outcome, Pool, PoolConfig};

/// Prints each order, and counts them.
struct Print(Arc<AtomicUsize>);

impl Handler for Print {
    fn run(&self, job: &Job, _: &Cancel) -> Outcome {
        println!("job {}: {}", job.id, String::from_utf8_lossy(&job.payload));
        self.0.fetch_add(1, Ordering::Relaxed);
        Outcome::Done(Vec::new())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("name a directory")?;
    let queue = Embedded::open(EmbeddedConfig::new(dir))?;
    let client = queue.client("example");
    for order in arguments {
        let submitted = client.submit(&[SubmitJob::new("orders", order.as_bytes())])?;
        println!("job {} is on disk", submitted[0].job);
    }
    let done = Arc::new(AtomicUsize::new(0));
    let pool = Pool::start(PoolConfig::new(["orders"]), queue.workers("printer"), Print(Arc::clone(&done)))?;
    std::thread::sleep(Duration::from_millis(500));
    pool.stopper().stop();
    pool.join()?;
    queue.close()?;
    println!("{} jobs are done", done.load(Ordering::Relaxed));
    Ok(())
}
