//! A wall clock that can be set, for one operator: what a correction of the time of its node does to it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use super::cluster::scratch;
use super::suffix;

/// The library that answers instead of the C library; it needs the C compiler with which Rust links.
static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let (source, library) = ("tests/support/wall_clock.c", scratch().join("wall_clock.so"));
    let made = library.with_extension(suffix());
    let status = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made).arg(source).status();
    assert!(status.is_ok_and(|status| status.success()), "cc makes a library of {source}; Linux only");
    std::fs::rename(&made, &library).expect("the library is moved");
    library
});

/// The wall clock of one process.
pub struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// One that is right.
    pub fn new() -> Self {
        let clock = Self { file: scratch().join(format!("wall-clock-{}", suffix())) };
        clock.set(0);
        clock
    }

    /// Environment of a process that goes by it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &PathBuf| path.display().to_string();
        vec![("LD_PRELOAD".to_owned(), text(&LIBRARY)), ("WALL_CLOCK".to_owned(), text(&self.file))]
    }

    /// Sets it so many seconds ahead of the real one; behind it if negative.
    pub fn set(&self, seconds: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, seconds.to_string()).expect("the clock can be written");
        std::fs::rename(&next, &self.file).expect("the clock is set at once");
    }
}
