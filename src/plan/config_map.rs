//! ConfigMaps: `<name>-peers` and `<name>-config` for the environment, `<name>-files` for inline files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::{Child, Stage, meta, volumes};
use crate::api::names;
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = ConfigMap;
    const STAGE: Stage = Stage::Identity;

    fn build(intent: &Intent) -> Vec<ConfigMap> {
        let config_map = |name: &str, data: BTreeMap<String, String>| ConfigMap {
            metadata: meta::object_meta(intent, name),
            data: Some(data),
            ..ConfigMap::default()
        };
        let peers = intent.peers.clone().map(|data| config_map(&names::peers_map_name(&intent.name), data));
        let config =
            intent.config.clone().map(|data| config_map(&names::config_map_name(&intent.name), data));
        let files = meta::map(volumes::inline_files(intent))
            .map(|data| config_map(&names::files_map_name(&intent.name), data));
        peers.into_iter().chain(config).chain(files).collect()
    }
}
