//! The arguments of every command, and the help that goes with them.

use std::path::PathBuf;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use microservice_operator::cli::{Error, Inputs, Settings, check, graph, render};
use microservice_operator::graph::Severity;

use super::live::Target;
use super::run;

/// Name of the program, as the texts of help have it.
const PROGRAM: &str = env!("CARGO_PKG_NAME");
/// Name of a file that kubectl takes for its plugin `msvc`, and how it is then called.
const PLUGIN: (&str, &str) = ("kubectl-msvc", "kubectl msvc");

const EXIT_CODES: &str = "\
Exit codes:
  0  done; nothing found, no difference
  1  findings, a difference, or the object is not Ready
  2  wrong usage, a file that cannot be read, or no answer from the cluster";

#[derive(Parser)]
#[command(version, about = "Reconciles Microservice objects into everything a service needs", after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
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
    #[command(after_help = RENDER_EXAMPLES)]
    Render {
        #[command(flatten)]
        files: Files,
        /// Format: a stream of documents, or one List
        #[arg(long, short, value_enum, default_value_t)]
        output: RenderOutput,
    },
    /// Check Microservices and MicroserviceClasses against every rule, and what they are together
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        #[command(flatten)]
        files: Files,
        /// Format: one line a finding, one JSON object, or SARIF 2.1.0
        #[arg(long, short, value_enum, default_value_t)]
        output: CheckOutput,
        /// End with 1 when a finding is at least so severe; broken rules are errors
        #[arg(long, value_name = "SEVERITY", value_enum, default_value = "error")]
        fail_on: Level,
    },
    /// Draw who calls whom, and say what of it will hurt
    #[command(
        after_help = GRAPH_EXAMPLES,
        group(ArgGroup::new("source").args(["filename", "cluster"]).required(true)),
        mut_arg("filename", |files| files.required(false)),
        mut_arg("kubeconfig", |file| file.conflicts_with("filename")),
        mut_arg("context", |name| name.conflicts_with("filename")),
    )]
    Graph {
        #[command(flatten)]
        files: Files,
        /// Read the services of a cluster instead: those of one namespace with their neighbours, judged
        /// together with all others
        #[arg(long, conflicts_with_all = ["recursive", "class"])]
        cluster: bool,
        /// Draw the services of all namespaces of the cluster
        #[arg(long, short = 'A', conflicts_with_all = ["filename", "namespace"])]
        all_namespaces: bool,
        #[command(flatten)]
        target: Target,
        /// Format: for people, for scripts, for Graphviz, for Mermaid, or one page to look around in
        #[arg(long, short, value_enum, default_value_t)]
        output: GraphOutput,
        /// End with 1 when a finding is at least so severe
        #[arg(long, value_name = "SEVERITY", value_enum)]
        fail_on: Option<Level>,
    },
    /// Show what would change, in the cluster or against a second set of files
    #[command(after_help = DIFF_EXAMPLES)]
    Diff {
        #[command(flatten)]
        files: Files,
        /// Compare with what these files render to, or with a rendering, instead of a cluster; repeatable
        #[arg(long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
        against: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Say why a Microservice is not Ready: conditions, children, pods and Events in one tree
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// Name of the Microservice
        name: String,
        /// Its namespace. Default: that of the kubeconfig context
        #[arg(long, short)]
        namespace: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write the pages of all commands to files in this directory instead
        #[arg(long, value_name = "DIRECTORY")]
        write: Option<PathBuf>,
    },
}

/// The command line of the program as it was called: as a plugin of kubectl when its file is named so.
pub fn command(called: Option<&str>) -> clap::Command {
    let file = called.and_then(|path| std::path::Path::new(path).file_stem()).and_then(|name| name.to_str());
    if file != Some(PLUGIN.0) {
        return Cli::command();
    }
    // The texts show how it is called.
    let renamed = |command: clap::Command| {
        let help = command.get_after_help().map(|help| help.to_string().replace(PROGRAM, PLUGIN.1));
        command.after_help(help.unwrap_or_default())
    };
    Cli::command().name(PLUGIN.0).bin_name(PLUGIN.1).mut_subcommands(renamed)
}

/// Name of the file that completions are for.
pub fn program(command: &clap::Command) -> String {
    command.get_name().to_owned()
}

const CHECK_EXAMPLES: &str = "\
Examples:
  # All files of a repository, with the class that they are checked against
  microservice-operator check -R -f deploy/ -f platform/class.yaml
  # What Kustomize or Helm makes of them
  kustomize build overlays/prod | microservice-operator check -f -
  # For code hosts that show findings at the lines of a pull request
  microservice-operator check -R -f deploy/ -o sarif > check.sarif
  # Warnings of the graph of calls keep a pull request back too
  microservice-operator check -R -f deploy/ --fail-on warning

Objects of other API groups are passed over. A Secret, ConfigMap, topic or Microservice that is not among
the files may be in the cluster: nothing is said of it. What is found in the graph of calls has the
severity that the class gives it.
Exit code: 0 = nothing found that is so severe, 1 = findings, 2 = wrong usage or a file that cannot be read.";

const GRAPH_EXAMPLES: &str = "\
Examples:
  # Every service of a repository, with its calls and events, and what is found
  microservice-operator graph -R -f deploy/
  # For a pull request
  microservice-operator graph -R -f deploy/ --fail-on error
  # A picture
  microservice-operator graph -R -f deploy/ -o dot | dot -Tsvg > services.svg
  # A page to look around in, of all that runs in a cluster
  microservice-operator graph --cluster -A -o html > services.html

Calls are what `spec.calls` says, events what `spec.kafka` does. A service that is called and is not among
the files counts as missing: give all of the system. A cluster is only read: Microservices, classes and
Namespaces. Who may not read all Microservices is told of one namespace alone.
Exit code: 0 = drawn, 1 = findings of that severity, or objects that `check` refuses, 2 = wrong usage, a
file that cannot be read, or no answer.";

const RENDER_EXAMPLES: &str = "\
Examples:
  # What the operator makes of a file
  microservice-operator render -f orders.yaml -n shop
  # Under a class that the namespace's label would name
  microservice-operator render -f orders.yaml -f platform/ --class team
  # Leave the operator: plain manifests, to be kept in Git
  microservice-operator render -R -f deploy/ > plain.yaml

Exit code: 0 = done, 1 = findings (see `check`), and nothing is printed then, 2 = wrong usage or a
file that cannot be read.";

const DIFF_EXAMPLES: &str = "\
Examples:
  # What would change in the cluster, as the operator would apply it
  microservice-operator diff -f orders.yaml
  # For a pull request: what the change makes of the children
  microservice-operator diff -R -f deploy/ --against main/deploy/
  # Against a rendering that is kept in Git
  microservice-operator render -R -f deploy/ | microservice-operator diff -R -f deploy/ --against -

In a cluster, children are applied as a dry run: that needs the right to patch them. The class and the
namespace's label are read from the cluster when they are not among the files. Values of Secrets are
never shown.
Exit code: 0 = no difference, 1 = differences, 2 = findings, wrong usage, a file that cannot be read, or no
answer.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  microservice-operator explain orders -n shop
  microservice-operator explain orders -n shop --context staging

Reads the Microservice, its Deployment, its pods and the Warnings of its namespace. What you may not read
is left out and said.
Exit code: 0 = it is Ready, 1 = it is not, 2 = wrong usage, no such object, or no answer.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  microservice-operator completions bash > /etc/bash_completion.d/microservice-operator
  microservice-operator completions zsh > \"${fpath[1]}/_microservice-operator\"";

/// Files and what they leave open.
#[derive(Args)]
pub struct Files {
    /// File, directory or `-`; repeatable. Classes and Namespaces among the files are taken into account
    #[arg(long, short = 'f', required = true, value_name = "PATH")]
    filename: Vec<String>,
    /// Read directories with those below them
    #[arg(long, short = 'R')]
    recursive: bool,
    /// Namespace of objects that name none. Default: `default`, or that of the kubeconfig context where a
    /// cluster is asked
    #[arg(long, short)]
    namespace: Option<String>,
    /// Class of Microservices that name none, as their namespace's label would name it; give it with -f too
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
}

impl Files {
    /// Reads them.
    pub fn read(&self) -> Result<Inputs, Error> {
        self.read_in("default")
    }

    /// Reads them; `namespace` stands for one that nobody names.
    pub fn read_in(&self, namespace: &str) -> Result<Inputs, Error> {
        Inputs::read(&self.filename, self.settings(namespace))
    }

    /// The namespace that is asked for; `default` stands for one that nobody names.
    pub fn namespace_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(default)
    }

    /// Reads other paths in the same way.
    pub fn read_others(&self, paths: &[String]) -> Result<Inputs, Error> {
        Inputs::read(paths, self.settings("default"))
    }

    fn settings(&self, namespace: &str) -> Settings {
        let namespace = self.namespace_or(namespace).to_owned();
        Settings { namespace, class: self.class.clone(), recursive: self.recursive }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum CheckOutput {
    #[default]
    Text,
    Json,
    Sarif,
}

impl From<CheckOutput> for check::Format {
    fn from(output: CheckOutput) -> Self {
        match output {
            CheckOutput::Text => Self::Text,
            CheckOutput::Json => Self::Json,
            CheckOutput::Sarif => Self::Sarif,
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum RenderOutput {
    #[default]
    Yaml,
    Json,
}

impl From<RenderOutput> for render::Format {
    fn from(output: RenderOutput) -> Self {
        match output {
            RenderOutput::Yaml => Self::Yaml,
            RenderOutput::Json => Self::Json,
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum GraphOutput {
    #[default]
    Text,
    Json,
    Dot,
    Mermaid,
    Html,
}

impl From<GraphOutput> for graph::Format {
    fn from(output: GraphOutput) -> Self {
        match output {
            GraphOutput::Text => Self::Text,
            GraphOutput::Json => Self::Json,
            GraphOutput::Dot => Self::Dot,
            GraphOutput::Mermaid => Self::Mermaid,
            GraphOutput::Html => Self::Html,
        }
    }
}

/// How severe a finding is.
#[derive(Clone, Copy, ValueEnum)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
        }
    }
}

#[derive(Args)]
pub struct RbacArguments {
    /// Namespace of the operator
    #[arg(long, default_value = run::DEFAULT_NAMESPACE)]
    pub namespace: String,
    /// Rights in these namespaces only, for `run --namespace`; comma-separated or repeated
    #[arg(long, value_name = "NAMESPACE", num_args = 1.., value_delimiter = ',')]
    pub namespaced: Vec<String>,
    /// Name of the Lease of the leader election
    #[arg(long, default_value = run::DEFAULT_LEASE)]
    pub lease_name: String,
    /// Rights on Strimzi's topics and users, and on Secrets, in these namespaces, which classes name;
    /// comma-separated or repeated
    #[arg(long, value_name = "NAMESPACE", num_args = 1.., value_delimiter = ',')]
    pub strimzi_namespace: Vec<String>,
    /// Print the rules alone, as the Helm chart takes them
    #[arg(long, conflicts_with_all = ["namespace", "namespaced", "strimzi_namespace"])]
    pub rules: bool,
}
