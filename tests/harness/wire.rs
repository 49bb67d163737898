//! A connection that speaks the protocol: blocking, and failing the test when it waits too long.
//! Its helpers are short, so that a test reads like a transcript.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

pub use super::frames::*;

/// A connection.
pub struct Wire {
    pub stream: TcpStream,
    next_correlation: u64,
    early: VecDeque<(u64, Reply)>,
}

impl Wire {
    /// Connected, and not a byte said.
    pub fn silent(address: &str) -> Wire {
        Wire::try_silent(address, Duration::from_secs(30)).expect("a connection")
    }

    /// The same to a master that may be gone; it fails later, too, when an answer takes longer than `patience`.
    pub fn try_silent(address: &str, patience: Duration) -> io::Result<Wire> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Wire { stream, next_correlation: 0xF00D_0000_0000_0000, early: VecDeque::new() })
    }

    /// Connected and past Hello.
    pub fn greeted(address: &str) -> Wire {
        let mut wire = Wire::silent(address);
        let reply = wire.ask(&hello(b""));
        assert!(matches!(reply, Reply::HelloOk { version: 1, .. }), "{reply:?}");
        wire
    }

    /// The same to a master that may be gone at any moment, or still starting.
    pub fn try_greeted(address: &str, patience: Duration) -> io::Result<Wire> {
        let mut wire = Wire::try_silent(address, patience)?;
        wire.try_send_all(&[hello(b"")])?;
        match wire.try_receive()? {
            Some((_, Reply::HelloOk { version: 1, .. })) => Ok(wire),
            None | Some((_, Reply::Error { code: STARTING, .. })) => Err(ErrorKind::ConnectionRefused.into()),
            other => panic!("a HelloOk, not {other:?}"),
        }
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("bytes sent");
    }

    /// Sends a request and gives its correlation.
    pub fn send(&mut self, request: &Request) -> u64 {
        self.send_all(std::slice::from_ref(request))[0]
    }

    /// Sends many requests in one write.
    pub fn send_all(&mut self, requests: &[Request]) -> Vec<u64> {
        let first = self.next_correlation;
        self.try_send_all(requests).expect("bytes sent");
        (first..self.next_correlation).collect()
    }

    /// The same to a master that may be gone at any moment: the correlations follow each other.
    pub fn try_send_all(&mut self, requests: &[Request]) -> io::Result<()> {
        let first = self.next_correlation;
        self.next_correlation += requests.len() as u64;
        let frames = requests.iter().zip(first..).flat_map(|(request, n)| request.frame(n));
        self.stream.write_all(&frames.collect::<Vec<u8>>())
    }

    /// The correlation of the next request.
    pub fn next_correlation(&self) -> u64 {
        self.next_correlation
    }

    /// No more requests: the half-close.
    pub fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// The next reply with its correlation, or none when the master has closed.
    pub fn try_receive(&mut self) -> io::Result<Option<(u64, Reply)>> {
        let mut head = [0; 16];
        match self.stream.read_exact(&mut head) {
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return Ok(None);
            }
            other => other?,
        }
        let (body_bytes, kind, correlation) = decode_header(&head);
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body)?;
        Ok(Some((correlation, decode(kind, &body))))
    }

    #[track_caller]
    pub fn receive(&mut self) -> (u64, Reply) {
        self.try_receive().expect("a reply in time").expect("a reply, not the end")
    }

    /// The reply to one request; replies to others are kept until they are asked for.
    #[track_caller]
    pub fn reply_to(&mut self, correlation: u64) -> Reply {
        if let Some(at) = self.early.iter().position(|(c, _)| *c == correlation) {
            return self.early.remove(at).expect("it is there").1;
        }
        loop {
            let (c, reply) = self.receive();
            if c == correlation {
                return reply;
            }
            self.early.push_back((c, reply));
        }
    }

    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Reply {
        let correlation = self.send(request);
        self.reply_to(correlation)
    }

    /// A submit to a master that may be gone at any moment.
    pub fn try_put(&mut self, queue: &str, payload: &str) -> io::Result<Option<u64>> {
        let frame = submit(&[job(queue, payload)]).frame(1);
        self.stream.write_all(&frame)?;
        let reply = self.try_receive()?;
        Ok(reply.map(|(_, reply)| submitted(reply)[0].job))
    }

    /// The master must have closed, with nothing more to say.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let more = self.try_receive().expect("the end in time");
        assert_eq!(more, None, "the connection was to be closed");
    }

    /// The request must be refused with this code, and the connection must stay open.
    #[track_caller]
    pub fn expect_refused(&mut self, request: &Request, code: u16) -> String {
        let text = expect_error(self.ask(request), code);
        self.stats();
        text
    }

    #[track_caller]
    pub fn submit(&mut self, jobs: &[Job]) -> Vec<Submitted> {
        submitted(self.ask(&submit(jobs)))
    }

    /// Submits jobs that must be new ones; gives their ids.
    #[track_caller]
    pub fn put_all(&mut self, jobs: &[Job]) -> Vec<u64> {
        let submitted = self.submit(jobs);
        assert!(submitted.iter().all(|s| s.duplicate == 0), "{submitted:?}");
        submitted.into_iter().map(|s| s.job).collect()
    }

    #[track_caller]
    pub fn put(&mut self, queue: &str, payload: impl AsRef<[u8]>) -> u64 {
        self.put_all(&[job(queue, payload)])[0]
    }

    #[track_caller]
    pub fn poll(&mut self, queues: &[&str], jobs_max: u16, wait_ms: u32, lease_ms: u32) -> Vec<Delivery> {
        delivered(self.ask(&poll(queues, jobs_max, wait_ms, lease_ms)))
    }

    /// One job of this queue, waited for if need be, with a lease of half a minute.
    #[track_caller]
    pub fn take(&mut self, queue: &str) -> Delivery {
        let mut jobs = self.poll(&[queue], 1, 15_000, 30_000);
        assert_eq!(jobs.len(), 1, "one job of {queue}");
        jobs.remove(0)
    }

    /// The queue has no job to give now.
    /// A job of its own, in flight.
    #[track_caller]
    pub fn put_and_take(&mut self, queue: &str) -> Delivery {
        self.put(queue, "x");
        self.take(queue)
    }

    #[track_caller]
    pub fn expect_none(&mut self, queue: &str) {
        assert_eq!(self.poll(&[queue], 1, 0, 30_000), []);
    }

    /// Lets the master count this time on a queue where nothing comes.
    #[track_caller]
    pub fn idle(&mut self, wait_ms: u32) {
        assert_eq!(self.poll(&["nothing-comes-here"], 1, wait_ms, 30_000), []);
    }

    #[track_caller]
    pub fn ack(&mut self, job: &Delivery) -> u16 {
        status(self.ask(&ack(&[(job.job, job.lease, b"")])), ACK_OK, job.job)
    }

    #[track_caller]
    pub fn fail(&mut self, job: &Delivery, for_good: bool, error: &str) -> u16 {
        status(self.ask(&fail(&[(job.job, job.lease, for_good, error)])), FAIL_OK, job.job)
    }

    #[track_caller]
    pub fn release(&mut self, job: &Delivery, delay_ms: u64) -> u16 {
        status(self.ask(&release(job.job, job.lease, delay_ms)), RELEASE_OK, job.job)
    }

    /// What the master wants of this job, and how long the lease lasts.
    #[track_caller]
    pub fn heartbeat(&mut self, job: &Delivery) -> (u8, u32) {
        match &self.ask(&heartbeat(&[(job.job, job.lease)])) {
            Reply::HeartbeatOk(items) if items.len() == 1 && items[0].0 == job.job => (items[0].1, items[0].2),
            other => panic!("a HeartbeatOk of one job, not {other:?}"),
        }
    }

    #[track_caller]
    pub fn stats(&mut self) -> Stats {
        match self.ask(&stats()) {
            Reply::StatsOk(stats) => stats,
            other => panic!("a StatsOk, not {other:?}"),
        }
    }
}
