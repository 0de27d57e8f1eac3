//! Programs of this machine that end with the test, however it ends.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::scratch;

/// A program that runs until this value is dropped, or we end: a shell ends it when its own stdin does.
pub struct Guarded {
    _shell: Child,
    /// What the program says.
    pub log: PathBuf,
}

impl Guarded {
    /// Starts what `command` adds to a command: a program, its arguments, its environment. It ends by this
    /// signal, such as TERM.
    pub fn start(name: &str, signal: &str, command: impl FnOnce(&mut Command)) -> Self {
        let log = scratch().join(format!("{name}-{}.log", std::process::id()));
        let output = File::create(&log).expect("the scratch directory is writable");
        let script = format!("\"$@\" </dev/null & read -r _; kill -{signal} $!");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]);
        command(&mut shell);
        let shell = shell
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("a shell starts");
        Self { _shell: shell, log }
    }
}
