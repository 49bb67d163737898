//! The way to the master: calls of a blocking client, on threads of which there are so many and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use super::whose;
use crate::client::Client;
use crate::embedded::Local;
use crate::limits::{CLIENT_NAME_BYTES_MAX, HTTP_CALLS_MAX, HTTP_WAITS_MAX, TOKENS_MAX};
use crate::master::Progress;
use crate::master::local::LocalDoor;

/// How long a call may take, beyond what it asks to wait.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a call waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(1);

/// What the server calls itself.
const NAME: &str = "http";

#[derive(Debug)]
pub struct Way {
    stage: RwLock<Stage>,
    calls: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    /// By whose token something is changed: the master knows each of them by a client of its own.
    by_holder: Mutex<HashMap<Box<str>, Client>>,
}

enum Stage {
    Starting(Arc<Progress>),
    /// All that only look share one client; each poll of a worker has one of its own.
    Serving(Client, LocalDoor),
    Over,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Starting(_) => "Starting",
            Stage::Serving(..) => "Serving",
            Stage::Over => "Over",
        })
    }
}

impl Way {
    pub fn new(progress: Arc<Progress>) -> Way {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Way {
            stage: RwLock::new(Stage::Starting(progress)),
            calls: semaphore(HTTP_CALLS_MAX),
            waits: semaphore(HTTP_WAITS_MAX),
            by_holder: Mutex::default(),
        }
    }

    pub fn open(&self, door: LocalDoor) {
        self.turn_to(Stage::Serving(client_named(&door, NAME), door));
    }

    /// Calls that are under way fail, and no further one begins.
    pub fn close(&self) {
        if let Stage::Serving(client, _) = self.turn_to(Stage::Over) {
            // None is made any more.
            let of_holders = std::mem::take(&mut *self.holders());
            for client in of_holders.into_values().chain([client]) {
                client.stop();
                client.disconnect();
            }
        }
    }

    /// The tokens are others now. Calls that are under way go on.
    pub fn forget_holders(&self) {
        self.holders().clear();
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<Box<str>, Client>> {
        self.by_holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client that carries out the request of this task.
    fn client(&self) -> Result<Client, Problem> {
        self.with_client(|shared, door| {
            let Some(holder) = whose::holder() else { return shared.clone() };
            let mut holders = self.holders();
            if holders.len() >= TOKENS_MAX && !holders.contains_key(&holder) {
                return shared.clone();
            }
            let name = format!("{NAME}:{holder}");
            let name = &name[..name.floor_char_boundary(CLIENT_NAME_BYTES_MAX)];
            holders.entry(holder).or_insert_with(|| client_named(door, name)).clone()
        })
    }

    fn turn_to(&self, stage: Stage) -> Stage {
        std::mem::replace(&mut self.stage.write().unwrap_or_else(PoisonError::into_inner), stage)
    }

    /// Whether the master can be asked; if it is starting, how far that is, in per cent.
    pub fn is_ready(&self) -> Result<(), Problem> {
        self.with_client(|_, _| ())
    }

    /// Whether the master is gone.
    pub fn is_over(&self) -> bool {
        matches!(*self.stage.read().unwrap_or_else(PoisonError::into_inner), Stage::Over)
    }

    /// How many calls, and how many waits, are under way.
    pub fn under_way(&self) -> [u64; 2] {
        let taken = |free: &Semaphore, all: usize| all.saturating_sub(free.available_permits()) as u64;
        [taken(&self.calls, HTTP_CALLS_MAX), taken(&self.waits, HTTP_WAITS_MAX)]
    }

    fn with_client<T>(&self, use_it: impl FnOnce(&Client, &LocalDoor) -> T) -> Result<T, Problem> {
        match &*self.stage.read().unwrap_or_else(PoisonError::into_inner) {
            Stage::Serving(client, door) => Ok(use_it(client, door)),
            Stage::Starting(progress) => Err(Problem::starting(progress.per_cent())),
            Stage::Over => Err(Problem::stopping()),
        }
    }

    /// A call that is answered soon.
    pub async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Client) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let client = self.client()?;
        let turn = timeout(TURN_TIMEOUT, Arc::clone(&self.calls).acquire_owned()).await;
        let Ok(Ok(permit)) = turn else { return Err(Problem::busy()) };
        on_a_thread(permit, move || call(&client)).await
    }

    /// A call that may wait for something to happen.
    pub async fn wait<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Client) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let client = self.client()?;
        let permit = Arc::clone(&self.waits).try_acquire_owned().map_err(|_| Problem::busy())?;
        on_a_thread(permit, move || call(&client)).await
    }

    /// The same, by a client of its own that is stopped when nobody waits for the answer any more.
    pub async fn wait_alone<T: Send + 'static>(
        &self,
        name: &str,
        call: impl FnOnce(&Client, &Abandoned) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let local = self.with_client(|_, door| Local::new(door.clone(), name).leaving_leases())?;
        let permit = Arc::clone(&self.waits).try_acquire_owned().map_err(|_| Problem::busy())?;
        let mut client = Client::new(local);
        client.set_timeout(CALL_TIMEOUT);
        let waiter = Waiter::new(client.clone());
        let abandoned = waiter.abandoned.clone();
        let outcome = on_a_thread(permit, move || call(&client, &abandoned)).await;
        drop(waiter);
        outcome
    }
}

fn client_named(door: &LocalDoor, name: &str) -> Client {
    let mut client = Client::new(Local::new(door.clone(), name));
    client.set_timeout(CALL_TIMEOUT);
    client
}

/// Whether nobody waits for an answer any more.
#[derive(Clone, Debug, Default)]
pub struct Abandoned(Arc<std::sync::atomic::AtomicBool>);

impl Abandoned {
    pub fn is_so(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// Somebody who waits: when that ends early, the call is to end, too.
struct Waiter {
    client: Client,
    abandoned: Abandoned,
}

impl Waiter {
    fn new(client: Client) -> Waiter {
        Waiter { client, abandoned: Abandoned::default() }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.abandoned.0.store(true, std::sync::atomic::Ordering::Release);
        self.client.stop();
    }
}

/// Runs a call on a thread that may block. The call goes on where nobody waits for it any more, and keeps its permit.
async fn on_a_thread<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    call: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let called = tokio::task::spawn_blocking(move || {
        let outcome = call();
        drop(permit);
        outcome
    });
    match called.await {
        Ok(outcome) => outcome,
        Err(_) => Err(Problem::broken("a call to the master panicked")),
    }
}
