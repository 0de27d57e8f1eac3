//! One small system in every format.

use super::*;
use crate::cli::check::examine;
use crate::cli::{Inputs, Settings};

const SERVICES: &str = "apiVersion: microservice.dev/v1alpha1
kind: Microservice
metadata: {name: orders}
spec:
  image: 'orders:1'
  calls:
  - {name: stock, timeout: 2s, retries: {attempts: 2, perTryTimeout: 500ms}}
  - {name: tips, optional: true, methods: [GET], paths: [/tips/]}
  - {name: bank, namespace: money, port: http}
  - external: {host: api.payments.example, ports: [443]}
  - workload: {podSelector: {matchLabels: {app: redis}}, ports: [6379]}
---
apiVersion: microservice.dev/v1alpha1
kind: Microservice
metadata: {name: stock}
spec: {image: 'stock:1', callers: []}
---
apiVersion: microservice.dev/v1alpha1
kind: Microservice
metadata: {name: tips}
spec: {image: 'tips:1'}
";

fn drawing() -> Drawing {
    let mut inputs = Inputs::new(Settings { namespace: "shop".to_owned(), ..Settings::default() });
    inputs.add("-", SERVICES);
    let examined = examine(&inputs);
    assert_eq!(examined.findings, []);
    Drawing::new(&examined)
}

fn printed(format: Format) -> String {
    let mut out = Vec::new();
    print(&mut out, &drawing(), format, Paint::new(false)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn text_has_the_edges_and_then_the_findings() {
    let text = printed(Format::Text);
    let (edges, findings) = text.split_once("\n\nerror: ").unwrap();
    assert_eq!(
        edges,
        "3 services, 5 calls, 0 edges by events\n\nshop/orders\n  \
         → shop/stock  2s, 3 attempts of 500ms, not allowed by the callee\n  \
         → shop/tips  GET /tips/, optional\n  \
         → money/bank  port http, no such service\n  \
         → api.payments.example:443\n  \
         → app=redis in shop:6379\n\nshop/stock\n\nshop/tips"
    );
    let kinds: Vec<&str> = findings
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.trim_start_matches("error: ").trim_start_matches("info: "))
        .collect();
    assert_eq!(
        kinds,
        [
            "MissingPeer: shop/orders calls money/bank, which does not exist",
            "PendingConsent: shop/orders calls shop/stock, whose callers do not name it",
            "NoTimeout: shop/orders waits for money/bank without a timeout",
        ]
    );
    assert_eq!(drawing().worst(), Some(Severity::Error));
}

#[test]
fn json_has_all_of_it() {
    let value: serde_json::Value = serde_json::from_str(&printed(Format::Json)).unwrap();
    assert_eq!(value["services"].as_array().unwrap().len(), 3);
    assert_eq!(
        value["calls"][0],
        serde_json::json!({
            "from": "shop/orders", "to": "shop/stock", "kind": "Microservice", "attempts": 3, "optional": false,
            "timeoutMilliseconds": 2000, "perTryTimeoutMilliseconds": 500, "state": "PendingConsent",
        })
    );
    let narrowed = (&value["calls"][1]["methods"], &value["calls"][1]["paths"]);
    assert_eq!(narrowed, (&serde_json::json!(["GET"]), &serde_json::json!(["/tips/"])));
    assert_eq!(value["calls"][3]["kind"], "external");
    assert_eq!(value["findings"][0]["kind"], "MissingPeer");
    assert_eq!(value["findings"][0]["path"], serde_json::json!(["shop/orders", "money/bank"]));
}

#[test]
fn tools_get_a_node_for_each_and_an_edge_for_each() {
    let dot = printed(Format::Dot);
    assert!(
        dot.contains("label=\"shop\"") && dot.contains("[label=\"api.payments.example:443\", style=dashed]")
    );
    assert_eq!(dot.matches(" -> ").count(), 5);
    assert!(dot.contains("color=red, label=\"not allowed by the callee\""), "{dot}");
    let mermaid = printed(Format::Mermaid);
    assert!(mermaid.starts_with("flowchart LR\n  subgraph g0[\"shop\"]\n"), "{mermaid}");
    assert_eq!(mermaid.matches("--x").count(), 2);
    assert!(mermaid.contains("-->|optional|"), "{mermaid}");
}

#[test]
fn the_page_needs_nothing_but_itself_and_is_always_the_same() {
    let page = printed(Format::Html);
    assert_eq!(page, printed(Format::Html));
    for outside in ["http:", "https:", "src=", "@import", "{{"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'; style-src 'sha256-") && page.contains("script-src 'sha256-"));
}

#[test]
fn names_in_the_page_cannot_end_the_element_around_them() {
    let host = "</script><script>alert(1)</script>{{style}}";
    let mut service = Service::new(crate::graph::Key::new("shop", "orders"));
    service.calls = [crate::graph::Call {
        target: crate::graph::Target::External(host.into()),
        ..crate::graph::Call::to(service.key.clone())
    }]
    .into();
    let drawing = Drawing { system: System::new([service]), findings: Vec::new() };
    let mut out = Vec::new();
    print(&mut out, &drawing, Format::Html, Paint::new(false)).unwrap();
    let page = String::from_utf8(out).unwrap();
    assert_eq!(page.matches("</script>").count(), 2);
    let (_, data) = page.split_once("id=\"system\">").unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    let system: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(system["nodes"][1]["name"], host);
}
