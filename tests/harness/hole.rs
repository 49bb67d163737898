//! A proxy that swallows: while its hole is open it forwards nothing and closes nothing, as a network that is gone.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn wait(&self) {
        let open = self.is_open.lock().expect("a gate");
        drop(self.changed.wait_while(open, |open| *open).expect("a gate"));
    }
}

pub struct Hole {
    pub address: String,
    gate: Arc<Gate>,
}

impl Hole {
    /// In front of this address.
    pub fn before(address: &str) -> Hole {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let hole = Hole { address: listener.local_addr().expect("an address").to_string(), gate: Arc::default() };
        let (gate, address) = (Arc::clone(&hole.gate), address.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                gate.wait();
                let Ok(far) = TcpStream::connect(&address) else { continue };
                let ways = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
                for (from, to) in ways {
                    let gate = Arc::clone(&gate);
                    let (from, to) = (from.expect("a socket"), to.expect("a socket"));
                    thread::spawn(move || pump(from, to, &gate));
                }
            }
        });
        hole
    }

    pub fn set_open(&self, is_open: bool) {
        *self.gate.is_open.lock().expect("a gate") = is_open;
        self.gate.changed.notify_all();
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut bytes = [0; 8192];
    while let Ok(came) = from.read(&mut bytes)
        && came > 0
    {
        gate.wait();
        if to.write_all(&bytes[..came]).is_err() {
            break;
        }
    }
    gate.wait();
    // The other side may be gone.
    let _ = to.shutdown(Shutdown::Write);
}
