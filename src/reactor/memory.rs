//! How much memory this process has from the system, as that tells it.

use crate::master::Memory;

/// What it has now; nothing where the system does not say.
pub fn memory_now() -> Option<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    read(&status)
}

fn read(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    Some(Memory { own_bytes: field("RssAnon")?, mapped_bytes: field("RssFile")? + field("RssShmem")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_told_from_what_is_mapped() {
        let status = "Name:\tfalcond\nVmRSS:\t  99 kB\nRssAnon:\t    1000 kB\nRssFile:\t     20 kB\nRssShmem:\t 3 kB\n";
        assert_eq!(read(status), Some(Memory { own_bytes: 1000 << 10, mapped_bytes: 23 << 10 }));
        assert_eq!(read("Name:\tfalcond\n"), None);
        assert!(memory_now().is_some_and(|memory| memory.own_bytes > 0));
    }
}
