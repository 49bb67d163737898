//! How the bounds have to stand to each other, checked when the crate is compiled.

use super::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, BACKOFF_MS_FIRST, CLIENT_NAME_BYTES_MAX, CONNECTIONS_MAX, CRON_BYTES_MAX,
    ERROR_TEXT_BYTES_MAX, FOLLOW_UPS_MAX, FRAME_BODY_BYTES_MAX, GRACE_MS_DEFAULT, GROUP_BYTES_MAX,
    GROUP_NAME_BYTES_MAX, HEADERS_BYTES_MAX, HEARTBEAT_MS, HELLO_BODY_BYTES_MAX, HOST_BYTES_MAX, ITEMS_MAX,
    KEY_BYTES_MAX, LOG_EVENTS_MAX, LOG_PAGE_BYTES_MAX, LOG_READ_SEGMENTS_MAX, PAYLOAD_BYTES_MAX, POLL_QUEUES_MAX,
    QUEUE_NAME_BYTES_MAX, READINGS_OF_ONE_MAX, RECORD_BYTES_MAX, RESERVE_BYTES, SCHEDULE_PAYLOAD_BYTES_MAX,
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_PAGE_BYTES, SILENCE_MS_DEFAULT,
    SILENCE_MS_MAX, SILENCE_MS_MIN, SOFTWARE_BYTES_MAX, STRANGERS_MAX, TEXTS_BYTES_MAX, TIMEOUT_MS_MAX,
    TOKEN_BYTES_MAX, UNFINISHED_BYTES_MAX, UNREPORTED_BYTES_MAX, WAITING_POLLS_MAX, WORKERS_BYTES_MAX,
};

const _: () = {
    assert!(RECORD_BYTES_MAX <= GROUP_BYTES_MAX);
    assert!(FOLLOW_UPS_MAX < ITEMS_MAX, "an ack and its follow-ups are a group");
    assert!(PAYLOAD_BYTES_MAX + 1024 <= FRAME_BODY_BYTES_MAX);
    assert!(
        TOKEN_BYTES_MAX + CLIENT_NAME_BYTES_MAX + HOST_BYTES_MAX + SOFTWARE_BYTES_MAX + 96 <= HELLO_BODY_BYTES_MAX,
        "a Hello with the longest token must fit"
    );
    assert!(HELLO_BODY_BYTES_MAX <= FRAME_BODY_BYTES_MAX);
    assert!(4 * FRAME_BODY_BYTES_MAX <= UNFINISHED_BYTES_MAX, "some of the longest frames may be under way");
    assert!(SILENCE_MS_MIN <= SILENCE_MS_DEFAULT && SILENCE_MS_DEFAULT <= SILENCE_MS_MAX);
    assert!(STRANGERS_MAX < CONNECTIONS_MAX);
    assert!(LOG_EVENTS_MAX <= u16::MAX as usize);
    assert!(LOG_PAGE_BYTES_MAX + RECORD_BYTES_MAX + LOG_EVENTS_MAX * 64 < FRAME_BODY_BYTES_MAX / 2, "with all else");
    assert!(
        LOG_READ_SEGMENTS_MAX * 32 + 2 <= u16::MAX as usize,
        "a run of missing records before each fits into an extra"
    );
    assert!(RECORD_BYTES_MAX <= TEXTS_BYTES_MAX && READINGS_OF_ONE_MAX < WAITING_POLLS_MAX);
    assert!(GROUP_BYTES_MAX + RESERVE_BYTES as usize + 4096 <= SEGMENT_BYTES_MIN as usize);
    assert!(SEGMENT_BYTES_DEFAULT >= SEGMENT_BYTES_MIN && SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
    assert!((SEGMENT_BYTES_DEFAULT as usize).is_multiple_of(SEGMENT_PAGE_BYTES));
    assert!((SEGMENT_BYTES_MIN as usize).is_multiple_of(SEGMENT_PAGE_BYTES));
    assert!(QUEUE_NAME_BYTES_MAX <= u8::MAX as usize && GROUP_NAME_BYTES_MAX <= u8::MAX as usize);
    assert!(KEY_BYTES_MAX <= u8::MAX as usize);
    assert!(CLIENT_NAME_BYTES_MAX <= u8::MAX as usize);
    assert!(POLL_QUEUES_MAX <= u8::MAX as usize);
    assert!(ERROR_TEXT_BYTES_MAX <= u16::MAX as usize);
    assert!(TOKEN_BYTES_MAX <= u16::MAX as usize);
    assert!(ITEMS_MAX <= u16::MAX as usize);
    assert!(2 * WORKERS_BYTES_MAX <= FRAME_BODY_BYTES_MAX && CONNECTIONS_MAX <= u16::MAX as usize);
    assert!(UNREPORTED_BYTES_MAX + ITEMS_MAX * 64 <= FRAME_BODY_BYTES_MAX, "it is reported in one frame");
    assert!(TIMEOUT_MS_MAX <= u32::MAX as u64, "a job's entry keeps its timeout in 32 bits");
    assert!(ATTEMPTS_DEFAULT >= 1 && ATTEMPTS_DEFAULT <= ATTEMPTS_MAX);
    assert!(
        SCHEDULE_PAYLOAD_BYTES_MAX + HEADERS_BYTES_MAX + CRON_BYTES_MAX + 1024 <= 32 << 10,
        "two of the longest schedules fit into a block of a snapshot"
    );
    assert!(HEARTBEAT_MS + 500 < GRACE_MS_DEFAULT, "a lease is claimed before the grace is over");
    assert!(GRACE_MS_DEFAULT + BACKOFF_MS_FIRST < 5000, "a killed worker's jobs move on within 5 s");
};
