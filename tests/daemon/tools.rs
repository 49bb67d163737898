//! The small tools: what `frame` writes a master understands, and what a master answers `frame` reads.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::harness::*;

fn frame(way: &str, input: &[u8]) -> Vec<u8> {
    let built = Path::new(FALCOND).parent().unwrap().join("examples/frame");
    let mut child = Command::new(built)
        .arg(way)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn a_person_can_talk_to_a_master_by_hand() {
    let master = Master::fresh(&[]);
    let said = "hello\nsubmit q hello there\npoll q 1000\nheartbeat 1 2\nack 1 2 done\nstats\n";
    let mut stream = TcpStream::connect(&master.address).unwrap();
    stream.write_all(&frame("encode", said.as_bytes())).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    let text = String::from_utf8(frame("decode", &answers)).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let begins = ["1: HelloOk(", "2: SubmitOk(", "3: PollOk(", "4: HeartbeatOk(", "5: AckOk(", "6: StatsOk("];
    assert_eq!(lines.len(), begins.len(), "{text}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line}");
    }
}
