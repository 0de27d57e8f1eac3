//! No text from outside ends the operator or the command line. Each target takes one kind of it as it
//! comes, random or an example with some of its bytes, nodes, numbers and lengths changed: nothing
//! panics, all comes to an end, and what is written can be read again.
//!
//! | text | comes from | target |
//! |---|---|---|
//! | quantities, durations, image references | specs and classes | `quantity`, `duration`, `image` |
//! | names of objects, labels, users, topics; templates of them | specs and classes | `name`, `template` |
//! | values of a topic's configuration | specs, brokers | `topic_config` |
//! | reasons, kinds of findings, modes, UIDs, addresses of collectors | status, labels, flags | `word` |
//! | Microservices, their status included | the API server | `microservice` |
//! | MicroserviceClasses | the API server | `class` |
//! | children as metadata alone; Deployments; pods | the API server | `child`, `deployment`, `pod` |
//! | `managedFields` | the API server | `managed_fields` |
//! | Secrets, ConfigMaps, Leases as a whole | the API server | `whole` |
//! | pages of lists, lines of watches | the API server | `page`, `event` |
//! | what kubelets, schedulers and admission say | status of pods and Deployments | `kubelet` |
//! | errors of the API server | its answers | `refusal` |
//! | records of topics and logins | ConfigMaps of the operator | `ledger` |
//! | KafkaTopics, KafkaUsers | Strimzi | `strimzi` |
//! | YAML and JSON of `check`, `render`, `diff`, `graph` | files | `yaml`, `command_line` |
//!
//! What a Kafka client makes of a broker's answer is in `src/engine/kafka/direct/errors/tests.rs`: its types
//! are private. `FUZZ_INPUTS` is the number of inputs for all targets together, 50,000 by default.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may panic, also in its helpers"
)]

mod command_line;
mod examples;
mod harness;
mod mutate;
mod objects;
mod texts;
#[path = "../support/watchdog.rs"]
mod watchdog;

use mutate::{documents, texts};

/// `share name: inputs => check`. A share is the part of all inputs that a target gets: more where an
/// input costs microseconds, fewer where it costs milliseconds.
macro_rules! targets {
    ($($share:literal $name:ident: $inputs:expr => $check:path;)+) => {
        /// All shares.
        const SHARES: u64 = 0 $(+ $share)+;

        $(
            #[test]
            fn $name() {
                harness::run(stringify!($name), $share, &$inputs, $check);
            }
        )+
    };
}

targets! {
    120 quantity: texts(examples::texts(&examples::QUANTITIES)) => texts::quantity;
    100 duration: texts(examples::texts(&examples::DURATIONS)) => texts::duration;
    100 image: texts(examples::texts(&examples::IMAGES)) => texts::image;
    80 name: texts(examples::texts(&examples::NAMES)) => texts::name;
    80 template: texts(examples::texts(&examples::TEMPLATES)) => texts::template;
    80 topic_config: texts(examples::texts(&examples::CONFIGS)) => texts::topic_config;
    60 word: texts(examples::texts(&examples::WORDS)) => texts::word;
    80 kubelet: texts(examples::texts(&examples::KUBELET)) => texts::kubelet;
    40 refusal: texts(examples::texts(&examples::REFUSALS)) => texts::refusal;
    20 microservice: documents(examples::of_kind("Microservice")) => objects::microservice;
    10 class: documents(examples::of_kind("MicroserviceClass")) => objects::class;
    30 child: documents(examples::children()) => objects::child;
    20 deployment: documents(examples::deployments()) => objects::deployment;
    30 pod: documents(examples::pods()) => objects::pod;
    30 managed_fields: documents(examples::managed_fields()) => objects::managed_fields;
    20 whole: documents(examples::wholes()) => objects::whole;
    10 page: documents(examples::pages()) => objects::page;
    20 event: documents(examples::events()) => objects::event;
    30 ledger: documents(examples::records()) => objects::ledger;
    30 strimzi: documents(examples::strimzi()) => objects::strimzi;
    8 yaml: texts(examples::yaml()) => command_line::yaml;
    2 command_line: texts(examples::yaml()) => command_line::commands;
}
