//! Completion scripts and manual pages, made from the definitions of the arguments.

use std::io::Write;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use microservice_operator::cli::Error;

/// Prints a completion script.
pub fn completions(mut command: Command, shell: Shell) -> Result<(), Error> {
    let name = super::arguments::program(&command);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

/// Prints the page of the program, or writes those of all commands to a directory.
pub fn print(command: Command, directory: Option<&Path>) -> Result<(), Error> {
    let Some(directory) = directory else {
        return Ok(Man::new(command).render(&mut std::io::stdout().lock())?);
    };
    let at = |source| Error::File { path: directory.display().to_string(), source };
    std::fs::create_dir_all(directory).map_err(at)?;
    clap_mangen::generate_to(command, directory).map_err(at)
}
