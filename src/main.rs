//! The command line: the only place with `anyhow` and exit codes, see [`Exit`].

mod arguments;
mod live;
mod manual;
mod run;

use std::io::Write;
use std::process::ExitCode;

use arguments::{CheckOutput, Cli, Command, Files, GraphOutput, Level, RbacArguments, RenderOutput};
use clap::FromArgMatches;
use live::Target;
use microservice_operator::cli::check::Finding;
use microservice_operator::cli::graph::Drawing;
use microservice_operator::cli::paint::Paint;
use microservice_operator::cli::{Error, check, crd, diff, graph, rbac, render};
use microservice_operator::graph::Severity;

/// That of musl has one lock for all threads, and that of glibc gives nothing back of what many objects took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// It did what it was asked for, and found nothing.
    Done = 0,
    /// It found something: findings, a difference, an object that is not Ready.
    Found = 1,
    /// It could not do it: wrong usage, unreadable input, no answer.
    Trouble = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    fn found(any: bool) -> Self {
        if any { Self::Found } else { Self::Done }
    }
}

fn main() -> ExitCode {
    let command = arguments::command(std::env::args().next().as_deref());
    let given = command.clone().get_matches();
    let given = match Cli::from_arg_matches(&given) {
        Ok(given) => given,
        Err(error) => error.exit(),
    };
    let result = match given.command {
        Command::Run(arguments) => return report(run::run(*arguments), ExitCode::FAILURE),
        Command::Diff { files, against, target } if against.is_empty() => {
            return ended(compare(&files, target));
        }
        Command::Explain { name, namespace, target } => return ended(explain(&name, namespace, target)),
        Command::Graph { files, cluster: true, all_namespaces, target, output, fail_on } => {
            return ended(draw_live(&files, all_namespaces, target, output, fail_on));
        }
        Command::Diff { files, against, .. } => diff_files(&files, &against),
        Command::Crd { write: Some(directory) } => crd::write(&directory).map(|()| Exit::Done),
        Command::Crd { write: None } => crd::print(&mut std::io::stdout().lock()).map(|()| Exit::Done),
        Command::Rbac(arguments) => print_rights(arguments),
        Command::Render { files, output } => render_files(&files, output),
        Command::Check { files, output, fail_on } => check_files(&files, output, fail_on),
        Command::Graph { files, output, fail_on, .. } => draw_files(&files, output, fail_on),
        Command::Completions { shell } => manual::completions(command, shell).map(|()| Exit::Done),
        Command::Man { write } => manual::print(command, write.as_deref()).map(|()| Exit::Done),
    };
    ended(result.map_err(anyhow::Error::from))
}

/// The exit code, with the error told.
fn ended(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        // The reader had enough, for example `head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => report(Err(error), Exit::Trouble.into()),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn print_rights(arguments: RbacArguments) -> Result<Exit, Error> {
    if arguments.rules {
        rbac::print_rules(&mut std::io::stdout().lock(), &arguments.lease_name)?;
        return Ok(Exit::Done);
    }
    let options = rbac::Options {
        operator_namespace: arguments.namespace,
        namespaces: arguments.namespaced,
        lease: arguments.lease_name,
        strimzi: arguments.strimzi_namespace,
    };
    rbac::print(&mut std::io::stdout().lock(), &options)?;
    Ok(Exit::Done)
}

fn render_files(files: &Files, output: RenderOutput) -> Result<Exit, Error> {
    let findings = render::print(&mut std::io::stdout().lock(), &files.read()?, output.into())?;
    tell(&findings);
    Ok(Exit::found(!findings.is_empty()))
}

fn check_files(files: &Files, output: CheckOutput, fail_on: Level) -> Result<Exit, Error> {
    let examined = check::review(&files.read()?);
    check::print(&mut std::io::stdout().lock(), &examined, output.into())?;
    if examined.findings.is_empty() {
        complain(&check::summary(&examined));
    }
    Ok(Exit::found(severe(examined.worst(), Some(fail_on))))
}

/// Whether the worst of what was found is so severe; without a limit nothing is.
fn severe(worst: Option<Severity>, limit: Option<Level>) -> bool {
    limit.is_some_and(|least| worst >= Some(Severity::from(least)))
}

fn draw_files(files: &Files, output: GraphOutput, fail_on: Option<Level>) -> Result<Exit, Error> {
    let examined = check::examine(&files.read()?);
    draw(&Drawing::new(&examined), &examined.findings, output, fail_on)
}

fn draw_live(
    files: &Files,
    all_namespaces: bool,
    target: Target,
    output: GraphOutput,
    fail_on: Option<Level>,
) -> anyhow::Result<Exit> {
    live::block_on(async {
        let cluster = target.connect().await?;
        let namespace = (!all_namespaces).then(|| files.namespace_or(&cluster.namespace));
        let seen = live::system(&cluster, namespace).await?;
        seen.left_out.iter().for_each(|note| complain(note));
        let mut examined = check::examine(&seen.inputs);
        let drawing = Drawing::new(&examined);
        let Some(namespace) = namespace else {
            return Ok(draw(&drawing, &examined.findings, output, fail_on)?);
        };
        examined.findings.retain(|finding| finding.path.starts_with(&format!("Microservice {namespace}/")));
        Ok(draw(&drawing.within(namespace), &examined.findings, output, fail_on)?)
    })
}

/// Draws what is right in itself, after what is not.
fn draw(
    drawing: &Drawing,
    wrong: &[Finding],
    output: GraphOutput,
    fail_on: Option<Level>,
) -> Result<Exit, Error> {
    tell(wrong);
    graph::print(&mut std::io::stdout().lock(), drawing, output.into(), Paint::of_stdout())?;
    let wrong = wrong.iter().map(|finding| finding.severity).max();
    Ok(Exit::found(severe(drawing.worst(), fail_on) || severe(wrong, Some(Level::Error))))
}

fn diff_files(files: &Files, against: &[String]) -> Result<Exit, Error> {
    let (old, new) = (files.read_others(against)?, files.read()?);
    differ(diff::side(&old).and_then(|old| Ok((old, diff::side(&new)?))))
}

fn compare(files: &Files, target: Target) -> anyhow::Result<Exit> {
    live::block_on(async {
        let cluster = target.connect().await?;
        let mut inputs = files.read_in(&cluster.namespace)?;
        Ok(differ(live::compare(&cluster, &mut inputs).await?)?)
    })
}

/// Prints the difference of two sides, or what is wrong with the objects: then nothing was compared.
fn differ(sides: Result<(diff::Objects, diff::Objects), Vec<Finding>>) -> Result<Exit, Error> {
    match sides {
        Ok((old, new)) => {
            let changed = diff::print(&mut std::io::stdout().lock(), &old, &new, Paint::of_stdout())?;
            Ok(Exit::found(changed > 0))
        }
        Err(findings) => {
            tell(&findings);
            Ok(Exit::Trouble)
        }
    }
}

fn explain(name: &str, namespace: Option<String>, target: Target) -> anyhow::Result<Exit> {
    live::block_on(async {
        let cluster = target.connect().await?;
        let namespace = namespace.unwrap_or_else(|| cluster.namespace.clone());
        Ok(Exit::found(!live::explain(&cluster, &namespace, name).await?))
    })
}

fn tell(findings: &[Finding]) {
    findings.iter().map(Finding::to_string).for_each(|finding| complain(&finding));
}

fn report(result: anyhow::Result<()>, failed: ExitCode) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&chain(&error));
            failed
        }
    }
}

/// The error and what it comes from; what a text tells already is not told again.
fn chain(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match told.as_str() {
            "" => cause,
            _ if told.contains(&cause) => told,
            _ => format!("{told}: {cause}"),
        }
    })
}

/// To stderr; without one there is nobody to tell.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        arguments::command(Some("/usr/bin/kubectl-msvc")).debug_assert();
    }

    #[test]
    fn a_file_named_like_a_plugin_is_one() {
        let mut plugin = arguments::command(Some("/usr/bin/kubectl-msvc"));
        plugin.build();
        let check = plugin.find_subcommand("check").unwrap().clone();
        let help = check.clone().render_long_help().to_string();
        assert!(
            help.contains("Usage: kubectl msvc check") && help.contains("| kubectl msvc check -f -"),
            "{help}"
        );
        assert!(!help.contains("microservice-operator"), "{help}");
        assert_eq!(arguments::command(Some("./microservice-operator")).get_name(), "microservice-operator");
    }

    #[test]
    fn an_error_is_told_once() {
        let error = anyhow::anyhow!("no file").context("a.yaml: no file").context("it cannot be read");
        assert_eq!(chain(&error), "it cannot be read: a.yaml: no file");
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
