//! `spec.graph` of a `MicroserviceClass`: from where on something that is found in the graph of calls counts,
//! and how bad it is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the services of the class are judged in the graph of calls. A finding is judged under the class of
/// the first service of its path: the caller, the start of a chain, the hub itself, of a circle the first by
/// name.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassGraph {
    /// From where on a number counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<GraphLimits>,
    /// How bad what is found is, by its kind, such as `LongChain: "Off"`; `Off` = it is not told. In YAML,
    /// Off needs quotes. Default: as the documentation has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severities: Option<BTreeMap<String, FindingSeverity>>,
}

/// From where on a number counts.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GraphLimits {
    /// Most calls that may wait for one another without a LongChain, 1 to 1000. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<u32>,
    /// Attempts that one request may become, from which on it is a RetryAmplification, 2 to 1000000.
    /// Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amplification: Option<u32>,
    /// Attempts from which on that is an error, 2 to 1000000, no fewer than `amplification`. Default 27.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amplification_error: Option<u32>,
    /// Fewest callers of a FanInHub, 1 to 100000. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<u32>,
    /// Fewest callers of a FanInHub in percent of all services, 0 to 100. Default 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_share: Option<u32>,
}

/// How bad something is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum FindingSeverity {
    /// It is broken, or will break more than itself.
    Error,
    /// It will hurt under load or when something breaks.
    Warning,
    /// Good to know.
    Info,
    /// It is not told.
    Off,
}
