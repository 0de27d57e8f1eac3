//! The command line. The only place with `anyhow` and exit codes: 0 = done, 1 = failed or findings,
//! 2 = wrong usage or unreadable input.

mod run;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use microservice_operator::cli::check::Finding;
use microservice_operator::cli::{Error, Inputs, check, crd, rbac, render};

const FINDINGS: u8 = 1;
const USAGE: u8 = 2;

#[derive(Parser)]
#[command(version, about = "Reconciles Microservice objects into everything a service needs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator
    Run(Box<run::Arguments>),
    /// Print the CustomResourceDefinitions
    Crd {
        /// Write them to files in this directory instead
        #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = "crds")]
        write: Option<PathBuf>,
    },
    /// Print the operator's ServiceAccount and rights
    Rbac(RbacArguments),
    /// Print the children of Microservices exactly as `run` would apply them
    Render {
        #[command(flatten)]
        files: Files,
        /// Namespace of objects that name none
        #[arg(long, short, default_value = "default")]
        namespace: String,
    },
    /// Check Microservices and MicroserviceClasses against every rule; 1 = findings
    Check {
        #[command(flatten)]
        files: Files,
    },
}

#[derive(Args)]
struct Files {
    /// File, directory or `-`; repeatable. Classes and Namespaces among the files are taken into account
    #[arg(long, short = 'f', required = true, value_name = "PATH")]
    filename: Vec<String>,
}

#[derive(Args)]
struct RbacArguments {
    /// Namespace of the operator
    #[arg(long, default_value = run::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Rights in these namespaces only, for `run --namespace`; comma-separated or repeated
    #[arg(long, value_name = "NAMESPACE", num_args = 1.., value_delimiter = ',')]
    namespaced: Vec<String>,
    /// Name of the Lease of the leader election
    #[arg(long, default_value = run::DEFAULT_LEASE)]
    lease_name: String,
    /// Rights on Strimzi's topics and users, and on Secrets, in these namespaces, which classes name;
    /// comma-separated or repeated
    #[arg(long, value_name = "NAMESPACE", num_args = 1.., value_delimiter = ',')]
    strimzi_namespace: Vec<String>,
    /// Print the rules alone, as the Helm chart takes them
    #[arg(long, conflicts_with_all = ["namespace", "namespaced", "strimzi_namespace"])]
    rules: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => return report(run::run(*arguments)),
        Command::Crd { write: Some(directory) } => crd::write(&directory).map(|()| ExitCode::SUCCESS),
        Command::Crd { write: None } => crd::print(&mut std::io::stdout().lock()).map(|()| ExitCode::SUCCESS),
        Command::Rbac(arguments) => print_rights(arguments),
        Command::Render { files, namespace } => render_files(&files, &namespace),
        Command::Check { files } => check_files(&files),
    };
    match result {
        Ok(code) => code,
        // The reader had enough, for example `head`.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(USAGE)
        }
    }
}

fn print_rights(arguments: RbacArguments) -> Result<ExitCode, Error> {
    if arguments.rules {
        rbac::print_rules(&mut std::io::stdout().lock(), &arguments.lease_name)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = rbac::Options {
        operator_namespace: arguments.namespace,
        namespaces: arguments.namespaced,
        lease: arguments.lease_name,
        strimzi: arguments.strimzi_namespace,
    };
    rbac::print(&mut std::io::stdout().lock(), &options)?;
    Ok(ExitCode::SUCCESS)
}

fn render_files(files: &Files, namespace: &str) -> Result<ExitCode, Error> {
    let inputs = Inputs::read(&files.filename)?;
    let findings = render::print(&mut std::io::stdout().lock(), &inputs, namespace)?;
    findings.iter().map(Finding::to_string).for_each(|finding| complain(&finding));
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn check_files(files: &Files) -> Result<ExitCode, Error> {
    let findings = check::print(&mut std::io::stdout().lock(), &Inputs::read(&files.filename)?)?;
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// To stderr; without one there is nobody to tell.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn crd_writes_to_its_usual_directory_unless_told_another() {
        let write = |arguments: &[&str]| match Cli::try_parse_from(arguments).unwrap().command {
            Command::Crd { write } => write,
            _ => None,
        };
        assert_eq!(write(&["x", "crd"]), None);
        assert_eq!(write(&["x", "crd", "--write"]), Some("crds".into()));
        assert_eq!(write(&["x", "crd", "--write", "other"]), Some("other".into()));
    }
}
