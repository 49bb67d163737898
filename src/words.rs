//! Words for people that go by a number: `1 job was purged`, `2 jobs were purged`.

/// A number and its noun.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", by_number(count, "", "s"))
}

pub fn is(count: u64) -> &'static str {
    by_number(count, "is", "are")
}

pub fn was(count: u64) -> &'static str {
    by_number(count, "was", "were")
}

pub fn has(count: u64) -> &'static str {
    by_number(count, "has", "have")
}

/// The one form, or the other.
pub fn by_number<'w>(count: u64, one: &'w str, many: &'w str) -> &'w str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_apart_from_all_other_numbers() {
        let told = |count| format!("{} {} dead", counted(count, "job"), is(count));
        assert_eq!([0, 1, 2].map(told), ["0 jobs are dead", "1 job is dead", "2 jobs are dead"]);
        assert_eq!([was(1), was(11), has(1), has(21)], ["was", "were", "has", "have"]);
    }
}
