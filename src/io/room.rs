//! How much memory there is for this process: what a copy that only makes things faster must fit.

use std::fs::read_to_string;

/// Bytes of memory of the machine, or of the control group that this process is in, if that is less.
/// `None` where the system does not say.
pub(crate) fn memory_bytes() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(limits_of).filter_map(|path| {
        let text = read_to_string(path).ok()?;
        text.trim().parse().ok()
    });
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    limits.chain(machine).min()
}

/// The files that may limit the memory of a group, from a line of /proc/self/cgroup: of the group, and of
/// the root that a container sees as its own.
fn limits_of(line: &str) -> Vec<String> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(kinds), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (folder, name) = match kinds {
        "" => ("/sys/fs/cgroup", "memory.max"),
        kinds if kinds.split(',').any(|kind| kind == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let path = path.trim_end_matches('/');
    vec![format!("{folder}{path}/{name}"), format!("{folder}/{name}")]
}

/// The memory that /proc/meminfo tells of.
fn total_of(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_found() {
        let second = ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(limits_of("0::/a/b"), second);
        let first = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes";
        assert_eq!(limits_of("4:cpu,memory:/a")[0], first);
        assert!(limits_of("4:cpu:/a").is_empty() && limits_of("nonsense").is_empty());
    }

    #[test]
    fn the_memory_of_a_machine_is_read() {
        assert_eq!(total_of("MemFree: 1 kB\nMemTotal:       24 kB\n"), Some(24 << 10));
        assert_eq!(total_of("MemTotal: much"), None);
        if cfg!(target_os = "linux") {
            assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}
