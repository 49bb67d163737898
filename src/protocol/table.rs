//! The table of requests with their replies: number, name and messages of each, once.

use super::replies::{
    AckThenOk, BackupOk, BatchFacts, BeginBatchOk, CountJobsOk, Done, ErrorReply, ExplainOk, FindOk, GetOk, GroupsOk,
    HeartbeatOk, HelloOk, IdleOk, ListBatchesOk, ListJobsOk, ListSchedulesOk, LogOk, MendAllOk, MendOk, OrderOk,
    PollOk, ProgressOk, PutScheduleOk, QueueFacts, ReadOk, Reported, RunScheduleOk, ScheduleFacts, SnapshotOk, StatsOk,
    SubmitOk, TextOk, WaitOk, WorkersOk,
};
use super::requests::{
    Ack, AckThen, Backup, BeginBatch, CancelBatch, CountJobs, DeleteQueue, Drain, DropSchedule, EndBatch, Explain,
    ExplainQueue, Fail, Find, Get, Groups, Heartbeat, Hello, Idle, ListBatches, ListJobs, ListSchedules, Log, Mend,
    MendAll, Order, Pause, PauseSchedule, Poll, Progress, PutSchedule, Read, Release, Resume, ResumeSchedule,
    RunSchedule, SetGroup, SetQueue, ShowBatch, ShowQueue, ShowSchedule, Snapshot, Stats, Submit, Text, Wait, Workers,
};
use super::{ERROR_KIND, ErrorCode, REPLY_BIT, Refusal, frame};
use crate::codec::{DecodeError, Field, Reader, text_head};

/// A request that has a kind, and the reply that answers it.
pub trait Call<'a>: Field<'a> + Into<Request<'a>> {
    /// The kind of the frame that carries it.
    const KIND: u16;

    /// What answers it.
    type Reply: Field<'a>;

    /// The reply to it, if this is one.
    fn reply(reply: &Reply<'a>) -> Option<Self::Reply>;
}

/// Declares the requests: `NUMBER Request(message) -> Reply(message);`.
macro_rules! requests {
    ($($kind:literal $name:ident $(<$qlife:lifetime>)? -> $reply:ident($answer:ty);)*) => {
        /// A request of a client.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Request<'a> {
            $($name($name $(<$qlife>)?),)*
        }

        /// The answer to one request.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Reply<'a> {
            $($reply($answer),)*
            /// The request was refused.
            Error(Refusal),
        }

        $(
            impl<'a> From<$name $(<$qlife>)?> for Request<'a> {
                fn from(request: $name $(<$qlife>)?) -> Self {
                    Request::$name(request)
                }
            }

            impl<'a> Call<'a> for $name $(<$qlife>)? {
                const KIND: u16 = $kind;
                type Reply = $answer;

                fn reply(reply: &Reply<'a>) -> Option<$answer> {
                    match reply { Reply::$reply(answer) => Some(*answer), _ => None }
                }
            }
        )*

        impl<'a> Request<'a> {
            /// Every kind with its name, in order.
            pub const KINDS: &'static [(u16, &'static str)] = &[$(($kind, stringify!($name))),*];

            /// The kind of the frame that carries this request.
            pub fn kind(&self) -> u16 {
                match self { $(Request::$name(_) => $kind),* }
            }

            #[inline]
            fn read(kind: u16, mut reader: Reader<'a>) -> Result<Self, Refusal> {
                let request = match kind {
                    $($kind => Request::$name($name::read(&mut reader, stringify!($name))?),)*
                    _ => return Err(unknown_request(kind)),
                };
                reader.finish()?;
                Ok(request)
            }

            fn message_write(&self, out: &mut Vec<u8>) {
                match self { $(Request::$name(message) => message.write(out)),* }
            }

            fn message_check(&self) -> Result<(), DecodeError> {
                match self { $(Request::$name(message) => message.check()),* }
            }

            /// One of each kind, for tests.
            pub fn samples(number: &mut u64) -> Vec<Self> {
                vec![$(Request::$name(Field::sample(number))),*]
            }
        }

        impl<'a> Reply<'a> {
            /// The kind of the frame that carries this reply.
            pub fn kind(&self) -> u16 {
                match self {
                    $(Reply::$reply(_) => REPLY_BIT | $kind,)*
                    Reply::Error(_) => ERROR_KIND,
                }
            }

            fn read(kind: u16, reader: &mut Reader<'a>) -> Option<Result<Self, DecodeError>> {
                match kind ^ REPLY_BIT {
                    $($kind => Some(Field::read(reader, stringify!($reply)).map(Reply::$reply)),)*
                    _ => None,
                }
            }

            fn message_write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Reply::$reply(message) => message.write(out),)*
                    Reply::Error(refusal) => error_reply(refusal).write(out),
                }
            }

            /// One of each kind but the error, for tests.
            pub fn samples(number: &mut u64) -> Vec<Self> {
                vec![$(Reply::$reply(Field::sample(number))),*]
            }
        }
    };
}

requests! {
    1 Hello<'a> -> HelloOk(HelloOk<'a>);
    2 Submit<'a> -> SubmitOk(SubmitOk<'a>);
    3 Poll<'a> -> PollOk(PollOk<'a>);
    4 Ack<'a> -> AckOk(Reported<'a>);
    5 Fail<'a> -> FailOk(Reported<'a>);
    6 Release<'a> -> ReleaseOk(Reported<'a>);
    7 Heartbeat<'a> -> HeartbeatOk(HeartbeatOk<'a>);
    8 Stats -> StatsOk(StatsOk<'a>);
    9 Snapshot -> SnapshotOk(SnapshotOk);
    10 Backup -> BackupOk(BackupOk<'a>);
    11 Read -> ReadOk(ReadOk<'a>);
    12 Get -> GetOk(GetOk<'a>);
    13 Workers<'a> -> WorkersOk(WorkersOk<'a>);
    14 Order<'a> -> OrderOk(OrderOk);
    15 Progress<'a> -> ProgressOk(ProgressOk);
    16 Log -> LogOk(LogOk<'a>);
    17 Find<'a> -> FindOk(FindOk);
    18 Text -> TextOk(TextOk<'a>);
    19 Wait<'a> -> WaitOk(WaitOk<'a>);
    20 Idle<'a> -> IdleOk(IdleOk);
    21 Mend<'a> -> MendOk(MendOk<'a>);
    22 Pause<'a> -> PauseOk(Done);
    23 Resume<'a> -> ResumeOk(Done);
    24 SetQueue<'a> -> SetQueueOk(Done);
    25 DeleteQueue<'a> -> DeleteQueueOk(Done);
    26 ShowQueue<'a> -> ShowQueueOk(QueueFacts<'a>);
    27 Drain -> DrainOk(Done);
    28 ListJobs<'a> -> ListJobsOk(ListJobsOk<'a>);
    29 CountJobs<'a> -> CountJobsOk(CountJobsOk<'a>);
    30 MendAll<'a> -> MendAllOk(MendAllOk);
    31 Explain -> ExplainOk(ExplainOk<'a>);
    32 ExplainQueue<'a> -> ExplainQueueOk(ExplainOk<'a>);
    33 SetGroup<'a> -> SetGroupOk(Done);
    34 Groups<'a> -> GroupsOk(GroupsOk<'a>);
    35 PutSchedule<'a> -> PutScheduleOk(PutScheduleOk);
    36 DropSchedule<'a> -> DropScheduleOk(Done);
    37 ListSchedules<'a> -> ListSchedulesOk(ListSchedulesOk<'a>);
    38 ShowSchedule<'a> -> ShowScheduleOk(ScheduleFacts<'a>);
    39 PauseSchedule<'a> -> PauseScheduleOk(Done);
    40 ResumeSchedule<'a> -> ResumeScheduleOk(Done);
    41 RunSchedule<'a> -> RunScheduleOk(RunScheduleOk);
    42 BeginBatch<'a> -> BeginBatchOk(BeginBatchOk);
    43 EndBatch<'a> -> EndBatchOk(Done);
    44 ShowBatch<'a> -> ShowBatchOk(BatchFacts<'a>);
    45 CancelBatch<'a> -> CancelBatchOk(Done);
    46 ListBatches<'a> -> ListBatchesOk(ListBatchesOk<'a>);
    47 AckThen<'a> -> AckThenOk(AckThenOk<'a>);
}

impl<'a> Request<'a> {
    /// Reads the body of a frame of this kind, and holds every value against its bounds.
    ///
    /// # Errors
    /// `UnknownRequest` for another kind, `Malformed` for a body that is not of this kind, and the first value that is
    /// out of its bounds.
    #[inline]
    pub fn decode(kind: u16, body: &'a [u8]) -> Result<Self, Refusal> {
        Request::read(kind, Reader::checking(body))
    }

    /// Writes the whole frame.
    pub fn encode(&self, correlation: u64, out: &mut Vec<u8>) {
        let start = frame::begin_frame(out, self.kind(), correlation);
        self.message_write(out);
        frame::finish_frame(out, start, 0);
    }

    /// Holds every value against its bounds; a client does so before it sends.
    ///
    /// # Errors
    /// The first value that is out of bounds, named, with its bounds.
    pub fn check(&self) -> Result<(), Refusal> {
        self.message_check().map_err(Refusal::from)
    }
}

impl<'a> Reply<'a> {
    /// Reads the body of a frame of this kind.
    ///
    /// # Errors
    /// `Malformed` for an unknown kind or a body that is not of this kind.
    pub fn decode(kind: u16, body: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(body);
        let reply = if kind == ERROR_KIND {
            let error = ErrorReply::read(&mut reader, "error")?;
            Reply::Error(Refusal::new(ErrorCode::from_code(error.code), error.text))
        } else if let Some(reply) = Reply::read(kind, &mut reader) {
            reply?
        } else {
            let text = format!("malformed frame: unknown reply kind {kind:#06x}");
            return Err(Refusal::new(ErrorCode::Malformed, text));
        };
        reader.finish()?;
        Ok(reply)
    }

    /// Writes the whole frame.
    pub fn encode(&self, correlation: u64, out: &mut Vec<u8>) {
        let start = frame::begin_frame(out, self.kind(), correlation);
        self.message_write(out);
        frame::finish_frame(out, start, 0);
    }
}

#[cold]
fn unknown_request(kind: u16) -> Refusal {
    let text = format!("unknown request kind {kind:#06x}; this master does not know it");
    Refusal::new(ErrorCode::UnknownRequest, text)
}

fn error_reply(refusal: &Refusal) -> ErrorReply<'_> {
    let Refusal { code, text } = refusal;
    ErrorReply { code: code.code(), retry: code.retry_may_help(), text: text_head(text, 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::split_frame;

    #[test]
    fn every_request_comes_back_and_any_shorter_or_longer_one_is_refused() {
        for request in (0..4).flat_map(|seed| Request::samples(&mut { seed })) {
            let mut out = Vec::new();
            request.encode(7, &mut out);
            let (header, body) = split_frame(&out).unwrap();
            let read = |body| Request::read(header.kind, Reader::new(body));
            assert_eq!(read(body), Ok(request));
            for end in 0..body.len() {
                assert!(read(&body[..end]).is_err(), "{end} bytes of {request:?}");
            }
            let longer = [body, &[0]].concat();
            assert!(Request::decode(header.kind, &longer).is_err(), "{request:?}");
        }
    }

    #[test]
    fn every_reply_comes_back_and_any_shorter_or_longer_one_is_refused() {
        for reply in (0..4).flat_map(|seed| Reply::samples(&mut { seed })) {
            let mut out = Vec::new();
            reply.encode(7, &mut out);
            let (header, body) = split_frame(&out).unwrap();
            assert_eq!(Reply::decode(header.kind, body), Ok(reply.clone()));
            for end in 0..body.len() {
                assert!(Reply::decode(header.kind, &body[..end]).is_err(), "{end} bytes of {reply:?}");
            }
            assert!(Reply::decode(header.kind, &[body, &[0]].concat()).is_err(), "{reply:?}");
        }
    }

    #[test]
    fn kinds_are_dense_from_one() {
        for (index, (kind, name)) in Request::KINDS.iter().enumerate() {
            assert_eq!(usize::from(*kind), index + 1, "{name}");
        }
    }
}
