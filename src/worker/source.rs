//! Where a pool gets its jobs over TCP. Those of a pool within the master's process come by `embedded::Local`, through
//! the same client and the master's one door.

use crate::client::{Client, Remote};

/// Makes clients of the master at `HOST:PORT`, as [`Pool::start`](super::Pool::start) takes them.
pub fn remote(address: &str, name: &str, token: &[u8]) -> impl Fn() -> Client + use<> {
    let tcp = Remote::new(address, name, token).saying_begun();
    move || Client::new(tcp.clone())
}
