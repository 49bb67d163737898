//! HTTP/1.1 as a test speaks it: one request a connection, blocking, read to the end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::master::Master;
use super::place::scratch;
use super::wait::{SOON, wait_for};

/// A master that answers HTTP, and where.
pub struct HttpMaster {
    pub master: Master,
    pub at: String,
    dir: Option<tempfile::TempDir>,
}

impl HttpMaster {
    pub fn fresh(args: &[&str]) -> HttpMaster {
        let dir = scratch();
        let started = HttpMaster::start(dir.path(), args);
        HttpMaster { dir: Some(dir), ..started }
    }

    pub fn start(dir: &Path, args: &[&str]) -> HttpMaster {
        let all = [&["--http", "127.0.0.1:0", "--log", "info"], args].concat();
        let master = Master::start(dir, &all);
        let at = wait_for("the line `answering HTTP on`", SOON, || {
            let said = master.stderr();
            let line = said.lines().find_map(|line| line.split_once("answering HTTP on "))?;
            Some(line.1.to_owned())
        });
        HttpMaster { master, at, dir: None }
    }

    /// A connection on which nothing was said.
    pub fn silent(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.at).expect("a connection");
        stream.set_read_timeout(Some(2 * SOON)).expect("a time-out");
        stream
    }

    /// Sends a request whose answer is read later, or never.
    pub fn begin(&self, ask: &Ask<'_>) -> TcpStream {
        let mut stream = self.silent();
        stream.write_all(&ask.bytes(&self.at)).expect("a request sent");
        stream
    }

    #[track_caller]
    pub fn ask(&self, ask: &Ask<'_>) -> Answer {
        Answer::read(self.begin(ask)).expect("an answer")
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&Ask::new("GET", path))
    }

    /// Sends JSON.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(&Ask::new(method, path).json(body))
    }
}

/// A request.
#[derive(Clone)]
pub struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, String)>,
    host: Option<&'a str>,
    body: Vec<u8>,
}

impl<'a> Ask<'a> {
    /// Of a path that begins with `/`.
    pub fn new(method: &'a str, path: &'a str) -> Ask<'a> {
        Ask { method, path, headers: Vec::new(), host: None, body: Vec::new() }
    }

    pub fn header(mut self, name: &'a str, value: &str) -> Ask<'a> {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn host(mut self, host: &'a str) -> Ask<'a> {
        self.host = Some(host);
        self
    }

    pub fn token(self, token: &str) -> Ask<'a> {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Ask<'a> {
        self.header("Content-Type", "application/json").body(body.to_string().as_bytes())
    }

    pub fn body(mut self, body: &[u8]) -> Ask<'a> {
        self.body = body.to_vec();
        self
    }

    /// Asks another server than a master; none where nothing listens there yet, or it says nothing.
    pub fn of(&self, at: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(at).ok()?;
        stream.set_read_timeout(Some(2 * SOON)).expect("a time-out");
        stream.write_all(&self.bytes(at)).ok()?;
        Answer::read(stream)
    }

    fn bytes(&self, at: &str) -> Vec<u8> {
        let Ask { method, path, headers, host, body } = self;
        let host = host.unwrap_or(at);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads to the end; none if it was closed without an answer.
    pub fn read(mut stream: TcpStream) -> Option<Answer> {
        let mut all = Vec::new();
        match stream.read_to_end(&mut all) {
            // Whoever sends more than is taken is closed upon, behind the answer.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => assert!(read.is_ok(), "{read:?} after {}", String::from_utf8_lossy(&all)),
        }
        let at = all.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&all[..at]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Some(Answer { status, headers, body: all[at + 4..].to_vec() })
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// What a problem says, which must be of this status and this name.
    #[track_caller]
    pub fn problem(self, status: u16, name: &str) -> String {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text());
        let told = answer.json();
        assert_eq!((&told["status"], &told["title"]), (&Value::from(status), &Value::from(name)), "{told}");
        told["detail"].as_str().expect("a sentence").to_owned()
    }
}

/// A span in which something that is not to wait must be done.
pub const AT_ONCE: Duration = Duration::from_secs(5);
