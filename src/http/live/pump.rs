//! The one task that asks the master what happened, for all streams.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Tick, lately};
use crate::http::App;
use crate::ids::Lsn;

/// How often the master is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Streams hear at least each time that so often was asked, so that they can look whether they are to end.
const BEAT: u32 = 4;

/// How long it rests after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Feeds all streams, for as long as the server runs.
pub async fn pump(app: Arc<App>) {
    loop {
        let Err(error) = tokio::spawn(feed(Arc::clone(&app))).await else { return };
        if error.is_cancelled() {
            return;
        }
        log::error!("feeding the event streams panicked; it begins anew in {RESTART_PAUSE:?}");
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}

async fn feed(app: Arc<App>) {
    loop {
        let wanted = app.live.wanted.notified();
        if app.live.ticks.receiver_count() == 0 {
            wanted.await;
        }
        if feed_while_wanted(&app).await.is_err() {
            return;
        }
    }
}

/// The master is gone.
struct Over;

async fn feed_while_wanted(app: &App) -> Result<(), Over> {
    let mut every = interval(ASK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Whoever came before this tick looks behind its own place by itself.
    let mut after: Option<Lsn> = None;
    let mut silent = 0;
    while app.live.ticks.receiver_count() > 0 {
        every.tick().await;
        let tick = match app.way.ask(move |client| lately(client, after)).await {
            Ok(page) => {
                let next = page.next;
                let from = after.unwrap_or(next);
                after = Some(next);
                Tick::of(from, page)
            }
            Err(_) if app.way.is_over() => {
                app.live.ticks.send(Arc::new(Tick { is_last: true, ..Tick::default() })).ok();
                return Err(Over);
            }
            // It is busy, or away for a moment: what happens meanwhile is told later.
            Err(_) => Tick::default(),
        };
        let is_silent = tick.events.is_empty() && tick.missed == 0;
        silent = if is_silent { silent + 1 } else { 0 };
        if !is_silent || silent % BEAT == 1 {
            // Nobody may be there any more.
            app.live.ticks.send(Arc::new(tick)).ok();
        }
    }
    Ok(())
}
