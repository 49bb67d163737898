//! The protocol by raw sockets: what comes in bad gets its own error code, closes what
//! `protocol.md` says and no more, and takes nothing from anybody else.

use std::net::Shutdown;

use crate::harness::wire::*;
use crate::harness::*;

/// A master with jobs in it, and a witness on a connection of its own.
pub struct Scene {
    pub master: Master,
    pub witness: Wire,
    kept: u64,
}

impl Scene {
    pub fn new() -> Scene {
        let master = Master::fresh(&[]);
        let witness = master.connect();
        let mut scene = Scene { master, witness, kept: 0 };
        scene.expect_unharmed();
        scene
    }

    /// The witness is served as before, and no job went or came but its own.
    #[track_caller]
    pub fn expect_unharmed(&mut self) {
        self.witness.put("kept", "x");
        self.kept += 1;
        let totals = Counts { pending: self.kept, ..Counts::default() };
        assert_eq!(self.witness.stats().totals, totals);
    }

    /// On this connection these bytes get this error, and then the connection is closed.
    #[track_caller]
    fn expect_closing(&mut self, mut wire: Wire, bytes: &[u8], code: u16) -> String {
        wire.send_bytes(bytes);
        let text = expect_error(wire.receive().1, code);
        wire.expect_closed();
        self.expect_unharmed();
        text
    }

    pub fn silent(&self) -> Wire {
        Wire::silent(&self.master.address)
    }

    pub fn greeted(&self) -> Wire {
        self.master.connect()
    }

    /// At the end the jobs are all there, in their order.
    pub fn end(mut self) {
        let jobs = self.witness.poll(&["kept"], 1_024, 0, 30_000);
        assert_eq!(jobs.len() as u64, self.kept);
        assert!(jobs.is_sorted_by(|a, b| a.job < b.job));
        self.master.stop();
    }
}

#[test]
fn hello_tells_the_limits() {
    let master = Master::fresh(&[]);
    match Wire::silent(&master.address).ask(&hello(b"")) {
        Reply::HelloOk { version, software, body_bytes_max, payload_bytes_max, items_max } => {
            assert_eq!((version, items_max), (1, 1_024));
            assert_eq!((body_bytes_max, payload_bytes_max), (8_388_608, 1_048_576));
            assert!(!software.is_empty());
        }
        other => panic!("a HelloOk, not {other:?}"),
    }
}

#[test]
fn before_hello_nothing_else_is_served() {
    let mut scene = Scene::new();
    let too_early = [submit(&[job("q", "x")]), poll(&["q"], 1, 0, 1_000), stats(), ack(&[(1, 1, b"")])];
    for request in too_early {
        scene.expect_closing(scene.silent(), &request.frame(7), HELLO_NEEDED);
    }
    scene.expect_closing(scene.silent(), &hello_with(0x4E43_4C46, (0, 0), b"").frame(1), VERSION_MISMATCH);
    // Whatever follows the versions in a later Hello.
    let mut later = hello_with(0x4E43_4C46, (2, 300), b"");
    later.body.truncate(8);
    later.body.extend_from_slice(b"laid out in another way");
    let text = scene.expect_closing(scene.silent(), &later.frame(1), VERSION_MISMATCH);
    assert!(text.contains("version 1 ") && text.contains("2 to 300"), "the sentence names both sides: {text}");
    let mut both = scene.silent();
    assert!(matches!(both.ask(&hello_with(0x4E43_4C46, (1, 9), b"")), Reply::HelloOk { version: 1, .. }));
    scene.expect_closing(scene.silent(), &hello_with(0x4E43_4C47, (1, 1), b"").frame(1), MALFORMED);
    scene.expect_closing(scene.greeted(), &hello(b"").frame(1), MALFORMED);
    scene.end();
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_header() {
    let mut scene = Scene::new();
    for kind in [1, 2, 0x0777] {
        scene.expect_closing(scene.silent(), &header(4_097, kind, 0, 1), FRAME_TOO_LARGE);
    }
    for body_bytes in [BODY_BYTES_MAX + 1, u32::MAX as usize] {
        scene.expect_closing(scene.greeted(), &header(body_bytes, 2, 0, 1), FRAME_TOO_LARGE);
    }
    let mut wire = scene.greeted();
    wire.send_bytes(&header(BODY_BYTES_MAX + 1, 2, 0, 0x0123_4567_89AB_CDEF));
    assert_eq!(wire.receive().0, 0x0123_4567_89AB_CDEF, "the error carries the header's correlation");

    // A client that sends the body all the same can read why it was refused.
    let mut wire = scene.greeted();
    let mut frame = header(BODY_BYTES_MAX + 1, 2, 0, 1);
    frame.resize(16 + 65_536, 0);
    wire.send_bytes(&frame);
    expect_error(wire.receive().1, FRAME_TOO_LARGE);
    scene.end();
}

#[test]
fn a_malformed_frame_closes_its_connection_and_harms_nobody() {
    let mut scene = Scene::new();
    let good = submit(&[job("q", "x")]);
    let longer = Request { body: [&good.body[..], b"!"].concat(), ..good.clone() };
    let shorter = Request { body: good.body[..good.body.len() - 1].to_vec(), ..good.clone() };
    let body = Body::default();
    let promising = Request::new(2, body.clone().u16(2).bytes(&good.body[2..]));
    let job_fields = body.clone().u16(1).text("q").text("").u8(128).u16(0).u32(0).u64(0).plain();
    let requests = [
        longer,
        shorter,
        promising,
        Request::new(2, body.clone()),
        Request::new(2, job_fields.clone().u32(1_000)),
        Request::new(3, body.clone().u16(1).u16(255).bytes(b"q")),
        Request::new(4, body.clone().u16(1).u64(1)),
        Request::new(8, body.clone().plain().u8(0)),
        // Extras out of order.
        Request::new(8, body.u8(2).bytes(&[5, 0, 0]).bytes(&[4, 0, 0])),
    ];
    for request in requests {
        let mut wire = scene.greeted();
        let correlation = wire.send(&request);
        let (answered, reply) = wire.receive();
        expect_error(reply, MALFORMED);
        assert_eq!(answered, correlation);
        wire.expect_closed();
        scene.expect_unharmed();
    }
    scene.expect_closing(scene.greeted(), &header(0, 8, 1, 1), MALFORMED);

    // This length is over the limit and reaches past the end: both are true.
    match scene.greeted().ask(&Request::new(2, job_fields.u32(u32::MAX))) {
        Reply::Error { code: MALFORMED | PAYLOAD_TOO_LARGE, .. } => scene.expect_unharmed(),
        other => panic!("an error, not {other:?}"),
    }
    scene.end();
}

#[test]
fn an_extra_that_is_not_known_is_passed_over_or_refused_by_its_tag() {
    let scene = Scene::new();
    let mut wire = scene.greeted();
    let with_extra = |tag: u8| Request::new(8, Body::default().u8(1).u8(tag).len16(3).bytes(b"new"));
    assert!(matches!(wire.ask(&with_extra(127)), Reply::StatsOk(_)));
    let text = wire.expect_refused(&with_extra(128), NOT_UNDERSTOOD);
    assert!(text.contains("128"), "the sentence names the tag: {text}");
    // In an item, too: nothing of the request is done.
    let job = Body::default().text("q").text("").u8(128).u16(0).u32(0).u64(0);
    let extra = job.u8(1).u8(200).len16(0).bytes32(b"x");
    let submit = Request::new(2, Body::default().u16(1).bytes(&extra.0).plain());
    wire.expect_refused(&submit, NOT_UNDERSTOOD);
    wire.expect_none("q");
    scene.end();
}

#[test]
fn a_heartbeat_without_leases_is_a_sign_of_life() {
    let scene = Scene::new();
    assert_eq!(scene.greeted().ask(&heartbeat(&[])), Reply::HeartbeatOk(vec![]));
    scene.end();
}

#[test]
fn random_bytes_harm_nobody() {
    let mut scene = Scene::new();
    let mut seed: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()[3]
    };
    for round in 0..90 {
        let body: Vec<u8> = (0..usize::from(random()) + 16).map(|_| random()).collect();
        // A third of them before Hello, a third behind it, a third as the body of a known kind.
        let (mut wire, bytes) = match round % 3 {
            0 => (scene.silent(), body),
            1 => (scene.greeted(), body),
            _ => (scene.greeted(), Request { kind: 1 + round % 8, body }.frame(round.into())),
        };
        wire.send_bytes(&bytes);
        // The master may have closed already.
        wire.stream.shutdown(Shutdown::Write).ok();
        let mut closed_by_error = false;
        while let Some((_, reply)) = wire.try_receive().expect("the end in time") {
            assert!(!closed_by_error, "nothing comes after an error that closes");
            if let Reply::Error { code, text, .. } = reply {
                assert!(!text.is_empty());
                closed_by_error = code <= UNAUTHORIZED;
            }
        }
    }
    scene.expect_unharmed();
    scene.end();
}

#[test]
fn an_unknown_kind_is_refused_and_the_connection_stays_open() {
    let mut scene = Scene::new();
    let mut wire = scene.greeted();
    for kind in [0x0000, 0x00FF, 0x0777, 0x7FFF] {
        wire.expect_refused(&Request::new(kind, Body::default().bytes(b"some body")), UNKNOWN_REQUEST);
    }
    scene.expect_unharmed();
    scene.end();
}

#[test]
fn a_bad_queue_name_is_refused() {
    let mut scene = Scene::new();
    let mut wire = scene.greeted();
    let long = "q".repeat(65);
    for name in ["", "-q", ".q", "_q", "a b", "a/b", "q\n", "q\0", "größe", &long] {
        wire.expect_refused(&submit(&[job("q", "x"), job(name, "x")]), BAD_QUEUE_NAME);
        wire.expect_refused(&poll(&["q", name], 1, 0, 1_000), BAD_QUEUE_NAME);
    }
    scene.expect_unharmed();
    for name in ["q", "7", "A.b_c-9", &"q".repeat(64)] {
        let id = wire.put(name, "x");
        let job = wire.take(name);
        assert_eq!((job.job, job.queue.as_str()), (id, name));
        assert_eq!(wire.ack(&job), 0);
    }
}

fn bad_jobs() -> [Job; 9] {
    [
        Job { delay_ms: 31_536_000_001, ..job("q", "x") },
        Job { delay_ms: u64::MAX, ..job("q", "x") },
        Job { timeout_ms: 1, ..job("q", "x") },
        Job { timeout_ms: 99, ..job("q", "x") },
        Job { timeout_ms: 604_800_001, ..job("q", "x") },
        Job { max_attempts: 1_001, ..job("q", "x") },
        keyed(&"k".repeat(129), "q"),
        keyed("a\nkey", "q"),
        keyed("a\u{7f}key", "q"),
    ]
}

#[test]
fn a_value_out_of_bounds_is_refused_whole() {
    let mut scene = Scene::new();
    let mut wire = scene.greeted();
    let good = || Job { key: "a key in a refused batch".into(), ..job("q", "x") };
    for bad in bad_jobs() {
        wire.expect_refused(&submit(&[good(), bad]), BAD_VALUE);
    }
    let names: Vec<String> = (0..33).map(|n| format!("q{n}")).collect();
    let many_queues: Vec<&str> = names.iter().map(String::as_str).collect();
    let many_acks = vec![(1, 1, &b""[..]); 1_025];
    let requests = [
        submit(&[]),
        submit(&vec![job("q", ""); 1_025]),
        poll(&[], 1, 0, 1_000),
        poll(&many_queues, 1, 0, 1_000),
        poll(&["q"], 0, 0, 1_000),
        poll(&["q"], 1_025, 0, 1_000),
        poll(&["q"], 1, 300_001, 1_000),
        poll(&["q"], 1, 0, 99),
        poll(&["q"], 1, 0, 86_400_001),
        ack(&[]),
        ack(&many_acks),
        fail(&[(1, 1, false, &"e".repeat(4_097))]),
        release(1, 1, 31_536_000_001),
        heartbeat(&vec![(1, 1); 1_025]),
    ];
    for request in requests {
        wire.expect_refused(&request, BAD_VALUE);
    }
    scene.expect_unharmed();
    assert_eq!(wire.submit(&[good()])[0].duplicate, 0, "a refused batch leaves no key");
}

#[test]
fn a_payload_over_the_limit_is_refused() {
    let mut scene = Scene::new();
    let mut wire = scene.greeted();
    let longest = vec![b'p'; PAYLOAD_BYTES_MAX];
    let too_long = vec![b'p'; PAYLOAD_BYTES_MAX + 1];
    wire.expect_refused(&submit(&[job("q", "x"), job("q", too_long)]), PAYLOAD_TOO_LARGE);
    scene.expect_unharmed();
    wire.put("q", &longest);
    assert!(wire.take("q").payload == longest);
}

#[test]
fn the_bounds_themselves_are_accepted() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let priorities = [0, 255].map(|priority| Job { priority, ..job("q", "") });
    wire.put_all(&priorities);
    wire.put_all(&[
        Job { delay_ms: 31_536_000_000, ..job("q", "") },
        Job { timeout_ms: 100, max_attempts: 1, ..job("q", "") },
        Job { timeout_ms: 604_800_000, max_attempts: 1_000, ..job("q", "") },
        keyed(&"k".repeat(128), "q"),
    ]);
    wire.put_all(&vec![job("q31", ""); 1_024]);
    let names: Vec<String> = (0..32).map(|n| format!("q{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(wire.poll(&names, 1_024, 0, 86_400_000).len(), 1_024);
    assert_eq!(wire.poll(&["q"], 1, 300_000, 100).len(), 1);
    let taken = wire.take("q");
    assert_eq!(wire.fail(&taken, true, &"e".repeat(4_096)), 0);

    // The longest body: its last job fills it up to the byte.
    let mut jobs = vec![job("big", vec![b'p'; PAYLOAD_BYTES_MAX]); 7];
    jobs.push(job("big", ""));
    let rest = BODY_BYTES_MAX - submit(&jobs).body.len();
    jobs[7].payload = vec![b'r'; rest];
    let longest = submit(&jobs);
    assert_eq!(longest.body.len(), BODY_BYTES_MAX);
    assert_eq!(submitted(wire.ask(&longest)).len(), 8);
    // The reply has more fields for each job, so the eight do not fit into one.
    let first = wire.poll(&["big"], 8, 0, 30_000);
    assert!((1..8).contains(&first.len()), "{} jobs in one frame", first.len());
    let mut seen = first.len();
    while seen < 8 {
        let more = wire.poll(&["big"], 8, 0, 30_000);
        assert!(!more.is_empty(), "{seen} of 8 jobs came");
        seen += more.len();
    }
    wire.expect_none("big");
}
