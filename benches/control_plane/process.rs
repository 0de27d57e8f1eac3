//! CPU time and memory of a process, as Linux counts them.

use std::fs;
use std::time::Duration;

/// User and system time so far. The kernel counts in hundredths of a second on every platform.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the operator runs");
    // The second field, the name in parentheses, may hold spaces.
    let fields: Vec<&str> =
        stat.rsplit_once(')').expect("stat holds a name").1.split_ascii_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a count")).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory in MiB.
pub fn resident(pid: u32) -> f64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
}

/// Memory of its own, without pages of files, in MiB.
pub fn anonymous(pid: u32) -> f64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Anonymous:")
}

/// Most resident memory so far, in MiB.
pub fn peak(pid: u32) -> f64 {
    field(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// Forgets the peak so far: the next is that of what follows.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the operator runs");
}

/// Load averages of the machine.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn field(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).expect("the operator runs");
    let line = text.lines().find(|line| line.starts_with(name)).expect("the kernel reports memory");
    let kib: f64 =
        line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of kB");
    kib / 1024.0
}
