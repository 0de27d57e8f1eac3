//! microservice-operator: reconciles `Microservice` objects into everything a service needs.
//!
//! Flow of one pass: `Microservice + Class + observe() -> Observed -> Intent::new (pure) ->
//! plan() (pure, total, sorted) -> apply + prune -> Outcome -> status() (pure) -> one patch + events`.
//!
//! Direction: `api <- intent <- plan, status <- engine <- controller <- main`; `cli -> api, intent,
//! graph, plan, status`. Clients, clocks and randomness live only in `engine`, `controller`, `telemetry` and `main`.

pub mod api;
pub mod cli;
pub mod controller;
pub mod engine;
pub mod graph;
pub mod intent;
pub mod kafka;
pub mod plan;
pub mod status;
pub mod telemetry;
