//! Replies about queues and their groups.

use super::reader::Reader;
use super::replies::Figures;
use super::{GroupSettings, QueueSettings, Rate, Reply};

/// What is known of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueFacts {
    pub figures: Vec<(String, u64)>,
    pub settings: QueueSettings,
    pub is_polled: bool,
    /// Of each way, in and out: what is left of its pause in milliseconds, and why.
    pub pauses: [Option<(u64, String)>; 2],
}

/// What is known of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRow {
    pub name: String,
    pub settings: GroupSettings,
    pub jobs: u64,
    pub in_flight: u64,
    pub before: Option<u64>,
    pub token_in_ms: Option<u64>,
}

impl Reader<'_> {
    pub fn queue_facts(&mut self) -> Reply {
        let Figures(figures) = self.figures();
        let settings = self.queue_settings();
        let is_polled = self.u8() == 1;
        let mut pauses = [None, None];
        self.extras_by(|tag, value| {
            let pause = (value.u64(), value.text());
            pauses[usize::from(tag) - 1] = Some(value.then_extras(pause));
            false
        });
        Reply::ShowQueueOk(QueueFacts { figures, settings, is_polled, pauses })
    }

    fn queue_settings(&mut self) -> QueueSettings {
        let mut settings = QueueSettings::default();
        self.extras_by(|tag, value| {
            match tag {
                1 => settings.keep_s = Some(value.u32()),
                2 => settings.dead_keep_s = Some(value.u32()),
                3 => {
                    let backoff = (value.u32(), value.u32());
                    settings.backoff = Some(value.then_extras(backoff));
                }
                4 => settings.max_attempts = Some(value.u16()),
                5 => settings.depth_max = Some(value.u64()),
                6 => settings.bytes_max = Some(value.u64()),
                7 => settings.timeout_ms = Some(value.u32()),
                8 => settings.ttl_ms = Some(value.u64()),
                9 => settings.running_max = Some(value.u32()),
                10 => settings.group_running_max = Some(value.u32()),
                11 => settings.strict = Some(value.u8() == 1),
                12 => settings.rate = Some(value.rate()),
                13 => settings.group_rate = Some(value.rate()),
                other => panic!("an extra {other} of the settings of a queue"),
            }
            false
        });
        settings
    }

    fn rate(&mut self) -> Rate {
        let rate = (self.u32(), self.u32(), self.u32());
        self.then_extras(rate)
    }

    pub fn group_row(&mut self) -> GroupRow {
        let name = self.text();
        let mut settings = GroupSettings::default();
        self.extras_by(|tag, value| {
            match tag {
                1 => settings.weight = Some(value.u16()),
                2 => settings.running_max = Some(value.u32()),
                3 => settings.rate = Some(value.rate()),
                other => panic!("an extra {other} of the settings of a group"),
            }
            false
        });
        let (jobs, in_flight) = (self.u64(), self.u64());
        let mut row = GroupRow { name, settings, jobs, in_flight, before: None, token_in_ms: None };
        self.extras_by(|tag, value| {
            match tag {
                1 => row.before = Some(value.u64()),
                2 => row.token_in_ms = Some(value.u64()),
                other => panic!("an extra {other} of a group"),
            }
            false
        });
        row
    }
}
