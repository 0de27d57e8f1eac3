//! What the operator tells about itself: metrics as promtool wants them, and traces for a collector.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::children::fixed;
use crate::support::collector::{Collector, words};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually, promtool, scratch, suffix};

/// The metrics in Prometheus' first format, which is the one that promtool judges. There a counter is
/// called what its samples are called, and there is no type for what is always 1.
fn classic(text: &str) -> String {
    let counters: Vec<&str> = text.lines().filter_map(|line| name_of(line, "counter")).collect();
    let infos: Vec<&str> = text.lines().filter_map(|line| name_of(line, "info")).collect();
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        let name = line.strip_prefix("# ").and_then(|rest| rest.split(' ').nth(1)).unwrap_or_default();
        lines.push(if counters.contains(&name) {
            line.replacen(name, &format!("{name}_total"), 1)
        } else if infos.contains(&name) {
            line.replacen(name, &format!("{name}_info"), 1).replace(" info", " gauge")
        } else {
            line.to_owned()
        });
    }
    lines.join("\n") + "\n"
}

/// The name of a metric of this type in its `# TYPE` line.
fn name_of<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix("# TYPE ")?.strip_suffix(kind)?.strip_suffix(' ')
}

#[tokio::test]
async fn prometheus_reads_the_metrics_and_finds_nothing_wrong_with_them() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "metrics").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", fixed("web", 1)).await;
    namespace.wait_ready("web").await;
    let (code, text) = operator.http("/metrics").await.expect("the operator answers");
    assert_eq!(code, 200);
    let printed = promtool("check metrics --extended", classic(&text)).await;
    assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{}", printed.out);
    assert!(printed.out.contains("microservice_operator_reconciles_total"), "{}", printed.out);

    // The text itself, in the format of its Content-Type; a file of it needs the times of the samples.
    let sample =
        |line: &str| if line.starts_with('#') { line.to_owned() } else { format!("{line} 1700000000") };
    let timed: Vec<String> = text.lines().map(sample).collect();
    let directory = scratch().join(format!("metrics-{}", suffix()));
    std::fs::create_dir_all(&directory).expect("the scratch directory is writable");
    let file = directory.join("metrics.txt");
    std::fs::write(&file, timed.join("\n") + "\n").expect("it can be written");
    let line = format!("tsdb create-blocks-from openmetrics {} {}", file.display(), directory.display());
    let printed = promtool(&line, String::new()).await;
    assert_eq!(printed.code, 0, "{}{}", printed.out, printed.err);
    std::fs::remove_dir_all(directory).expect("it can be removed");
}

#[tokio::test]
async fn a_collector_gets_a_trace_of_each_reconcile_and_the_log_names_it() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "traces").await;
    let collector = Collector::start().await;
    let mut options = OperatorOptions::namespace(namespace.name());
    options.arguments = vec![format!("--otlp-endpoint={}", collector.address())];
    let mut operator = Operator::start(cluster, options).await;
    namespace.microservice("web", fixed("web", 1)).await;
    namespace.wait_ready("web").await;

    let of_web = |span: &Span| {
        span.name == "reconcile"
            && words(&span.attributes).get("microservice").is_some_and(|name| name == "web")
    };
    let root = eventually(Duration::from_secs(20), "a Ready reconcile arrives", || async {
        let spans = collector.spans();
        let ready = |span: &&Span| {
            of_web(span) && words(&span.attributes).get("reason").is_some_and(|reason| reason == "Ready")
        };
        spans.iter().find(ready).cloned().ok_or_else(|| format!("{} other spans", spans.len()))
    })
    .await;
    assert_eq!(words(&root.attributes)["namespace"], namespace.name());
    let trace: String = root.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();

    // The first one, which made the children, has a span for each request.
    let spans = collector.spans();
    let roots: Vec<_> = spans.iter().filter(|span| of_web(span)).collect();
    let applied = spans.iter().filter(|span| span.name == "request").find(|span| {
        let attributes = words(&span.attributes);
        let child = roots.iter().any(|root| root.span_id == span.parent_span_id);
        child && attributes["path"].ends_with("/deployments/web") && attributes["code"] == "201"
    });
    assert!(applied.is_some(), "no span of the Deployment's creation among {}", spans.len());
    assert!(spans.iter().all(|span| ["reconcile", "request"].contains(&span.name.as_str())), "{spans:?}");
    let sender = collector.senders().remove(0);
    assert_eq!(sender["service.name"], "microservice-operator");
    assert_eq!(sender["service.version"], env!("CARGO_PKG_VERSION"));

    let log = operator.log();
    let line = log.lines().find(|line| line.contains(&trace)).expect("the log names the trace");
    let line: Value = serde_json::from_str(line).expect("a line is JSON");
    assert_eq!(line["span"]["microservice"], "web", "{line}");

    // What was not sent yet is sent at the end.
    namespace.microservice("last", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.wait_ready("last").await;
    let (code, took) = operator.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let last = |span: &Span| words(&span.attributes).get("microservice").is_some_and(|name| name == "last");
    assert!(collector.spans().iter().any(last), "the last spans are lost");
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_once_and_stops_nothing() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "untraced").await;
    let gone = {
        let collector = Collector::start().await;
        collector.address().to_owned()
    };
    let mut options = OperatorOptions::namespace(namespace.name());
    options.arguments = vec![format!("--otlp-endpoint={gone}")];
    let mut operator = Operator::start(cluster, options).await;
    namespace.microservice("web", fixed("web", 1)).await;
    namespace.wait_ready("web").await;
    let told = || operator.log().matches("traces do not arrive").count();
    eventually(Duration::from_secs(20), "the log says so", || async {
        if told() > 0 { Ok(()) } else { Err("not yet") }
    })
    .await;
    namespace.microservice("other", fixed("other", 1)).await;
    namespace.wait_ready("other").await;
    assert_eq!(told(), 1, "{}", operator.log());
    let (code, took) = operator.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
