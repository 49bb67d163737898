//! Taking connections. Strangers, who have not said a valid Hello, have few places: the oldest of them makes room for
//! the next, so that whoever does say Hello finds one.

use std::io;

use super::stream::Stream;
use super::{Conn, Reactor, conn_of, list};
use crate::ids::SessionId;
use crate::limits::{CONNECTIONS_MAX, STRANGERS_MAX};
use crate::master::{Input, WalError};
use crate::protocol::{ErrorCode, Refusal, Reply};
use crate::time::Timestamp;

impl Reactor {
    /// Takes a slice of the connections that wait.
    pub(super) fn accept(&mut self, now: Timestamp) -> Result<(), WalError> {
        let Some(mut listener) = self.listener.take() else { return Ok(()) };
        let mut outcome = Ok(());
        if listener.is_ready {
            listener.accept_some(|stream| {
                if outcome.is_ok() {
                    outcome = self.take_connection(stream, now);
                }
            });
        }
        self.listener = Some(listener);
        outcome
    }

    fn take_connection(&mut self, stream: Stream, now: Timestamp) -> Result<(), WalError> {
        let conns_max = self.descriptors_max.saturating_sub(self.master.segments()).clamp(1, CONNECTIONS_MAX);
        let strangers_max = STRANGERS_MAX.min(conns_max.div_ceil(4));
        if self.strangers.len() >= strangers_max || self.conns_open >= conns_max {
            self.forget_known_strangers();
        }
        let is_full = self.conns_open >= conns_max;
        if (is_full || self.strangers.len() >= strangers_max)
            && let Some(oldest) = self.strangers.pop_front()
        {
            self.drop_connection(oldest, now)?;
        } else if is_full {
            refuse_connection(stream, conns_max);
            return Ok(());
        }
        let id = self.master.connected();
        match Conn::new(stream, id, self.poll.registry(), now) {
            Ok(mut conn) => {
                list(&mut self.to_read, &mut conn);
                let place = id.place();
                if self.conns.len() <= place {
                    self.conns.resize_with(place + 1, || None);
                }
                self.conns[place] = Some(conn);
                self.conns_open += 1;
                self.strangers.push_back(id);
                Ok(())
            }
            Err(error) => {
                log::warn!("a connection could not be taken: {error}");
                self.master.take(id, Input::Gone, now)
            }
        }
    }

    /// Forgets those that are gone, and those that have said Hello.
    pub(super) fn forget_known_strangers(&mut self) {
        let Reactor { strangers, conns, master, .. } = self;
        strangers.retain(|id: &SessionId| conn_of(conns, *id).is_some() && !master.is_greeted(*id));
    }
}

/// Tells a connection that there are too many, as far as that can be done at once, and closes it.
fn refuse_connection(mut stream: Stream, max: usize) {
    let text = format!("this master has {max} connections already; try again later");
    let mut frame = Vec::new();
    Reply::Error(Refusal::new(ErrorCode::TooManyConnections, text)).encode(0, &mut frame);
    // A fresh socket takes this much at once; if not, the closing tells it too.
    let _ = io::Write::write(&mut stream, &frame);
}
