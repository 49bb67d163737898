//! The table of requests with their replies: number, name and messages of each, once.

use super::replies::{
    AckThenOk, BackupOk, BatchFacts, BeginBatchOk, CountJobsOk, Done, ErrorReply, ExplainOk, FindOk, GetOk, GroupsOk,
    HeartbeatOk, HelloOk, IdleOk, ListBatchesOk, ListJobsOk, ListSchedulesOk, LogOk, MeasureOk, MendAllOk, MendOk,
    OrderOk, PollOk, ProgressOk, PutScheduleOk, QueueFacts, ReadOk, RecentOk, Reported, RunScheduleOk, ScheduleFacts,
    SnapshotOk, StatsOk, StorageOk, SubmitOk, TextOk, WaitOk, WorkersOk,
};
use super::requests::{
    Ack, AckThen, Backup, BeginBatch, CancelBatch, CountJobs, DeleteQueue, Drain, DropSchedule, EndBatch, Explain,
    ExplainQueue, Fail, Find, Get, Groups, Heartbeat, Hello, Idle, ListBatches, ListJobs, ListSchedules, Log, Measure,
    Mend, MendAll, Order, Pause, PauseSchedule, Poll, Progress, PutSchedule, Read, Recent, Release, Resume,
    ResumeSchedule, RunSchedule, SetGroup, SetQueue, ShowBatch, ShowQueue, ShowSchedule, Snapshot, Stats, Storage,
    Submit, Text, Wait, Workers,
};
use super::{ERROR_KIND, ErrorCode, REPLY_BIT, Refusal, frame};
use crate::codec::{DecodeError, Field, Reader, text_head};
use crate::roles::Role;

/// A request that has a kind, and the reply that answers it.
pub trait Call<'a>: Field<'a> + Into<Request<'a>> {
    /// The kind of the frame that carries it.
    const KIND: u16;

    /// What answers it.
    type Reply: Field<'a>;

    /// The reply to it, if this is one.
    fn reply(reply: &Reply<'a>) -> Option<Self::Reply>;
}

/// Declares the requests: `NUMBER Request by Role -> Reply(message);`, where the role is the one that it needs.
macro_rules! requests {
    ($($kind:literal $name:ident $(<$qlife:lifetime>)? by $role:ident -> $reply:ident($answer:ty);)*) => {
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

            fn role_of_kind(&self) -> Role {
                match self { $(Request::$name(_) => Role::$role),* }
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
    1 Hello<'a> by Read -> HelloOk(HelloOk<'a>);
    2 Submit<'a> by Submit -> SubmitOk(SubmitOk<'a>);
    3 Poll<'a> by Work -> PollOk(PollOk<'a>);
    4 Ack<'a> by Work -> AckOk(Reported<'a>);
    5 Fail<'a> by Work -> FailOk(Reported<'a>);
    6 Release<'a> by Work -> ReleaseOk(Reported<'a>);
    7 Heartbeat<'a> by Work -> HeartbeatOk(HeartbeatOk<'a>);
    8 Stats by Read -> StatsOk(StatsOk<'a>);
    9 Snapshot by Admin -> SnapshotOk(SnapshotOk);
    10 Backup by Admin -> BackupOk(BackupOk<'a>);
    11 Read by Admin -> ReadOk(ReadOk<'a>);
    12 Get by Read -> GetOk(GetOk<'a>);
    13 Workers<'a> by Read -> WorkersOk(WorkersOk<'a>);
    14 Order<'a> by Admin -> OrderOk(OrderOk);
    15 Progress<'a> by Work -> ProgressOk(ProgressOk);
    16 Log by Read -> LogOk(LogOk<'a>);
    17 Find<'a> by Read -> FindOk(FindOk);
    18 Text by Read -> TextOk(TextOk<'a>);
    19 Wait<'a> by Read -> WaitOk(WaitOk<'a>);
    20 Idle<'a> by Read -> IdleOk(IdleOk);
    21 Mend<'a> by Admin -> MendOk(MendOk<'a>);
    22 Pause<'a> by Admin -> PauseOk(Done);
    23 Resume<'a> by Admin -> ResumeOk(Done);
    24 SetQueue<'a> by Admin -> SetQueueOk(Done);
    25 DeleteQueue<'a> by Admin -> DeleteQueueOk(Done);
    26 ShowQueue<'a> by Read -> ShowQueueOk(QueueFacts<'a>);
    27 Drain by Admin -> DrainOk(Done);
    28 ListJobs<'a> by Read -> ListJobsOk(ListJobsOk<'a>);
    29 CountJobs<'a> by Read -> CountJobsOk(CountJobsOk<'a>);
    30 MendAll<'a> by Admin -> MendAllOk(MendAllOk);
    31 Explain by Read -> ExplainOk(ExplainOk<'a>);
    32 ExplainQueue<'a> by Read -> ExplainQueueOk(ExplainOk<'a>);
    33 SetGroup<'a> by Admin -> SetGroupOk(Done);
    34 Groups<'a> by Read -> GroupsOk(GroupsOk<'a>);
    35 PutSchedule<'a> by Admin -> PutScheduleOk(PutScheduleOk);
    36 DropSchedule<'a> by Admin -> DropScheduleOk(Done);
    37 ListSchedules<'a> by Read -> ListSchedulesOk(ListSchedulesOk<'a>);
    38 ShowSchedule<'a> by Read -> ShowScheduleOk(ScheduleFacts<'a>);
    39 PauseSchedule<'a> by Admin -> PauseScheduleOk(Done);
    40 ResumeSchedule<'a> by Admin -> ResumeScheduleOk(Done);
    41 RunSchedule<'a> by Admin -> RunScheduleOk(RunScheduleOk);
    42 BeginBatch<'a> by Submit -> BeginBatchOk(BeginBatchOk);
    43 EndBatch<'a> by Submit -> EndBatchOk(Done);
    44 ShowBatch<'a> by Read -> ShowBatchOk(BatchFacts<'a>);
    45 CancelBatch<'a> by Submit -> CancelBatchOk(Done);
    46 ListBatches<'a> by Read -> ListBatchesOk(ListBatchesOk<'a>);
    47 AckThen<'a> by Work -> AckThenOk(AckThenOk<'a>);
    48 Measure by Read -> MeasureOk(MeasureOk<'a>);
    49 Recent by Read -> RecentOk(RecentOk<'a>);
    50 Storage by Read -> StorageOk(StorageOk<'a>);
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

    /// The role that it needs, once the session was let in. A sign of life without leases is everybody's.
    #[inline]
    pub fn role(&self) -> Role {
        match self {
            Request::Heartbeat(beat) if beat.leases.is_empty() => Role::Read,
            other => other.role_of_kind(),
        }
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
