//! KafkaTopic: the one place of what a topic is to be. Keys that it does not name are removed from the
//! topic, so whatever was live when a topic is taken over is copied into it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Head, Mark, Said, TOPICS, metadata, object, topic_object};
use crate::kafka::config::same;
use crate::kafka::model::{ConfigChange, NewTopic, Topic};

/// A KafkaTopic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicObject {
    /// Its metadata.
    pub head: Head,
    /// What Strimzi says of it.
    pub said: Said,
    /// Name of the topic on the broker.
    pub topic: String,
    /// What it asks for.
    pub spec: TopicSpec,
    /// The topic's id, as Strimzi has told it.
    pub topic_id: Option<String>,
}

/// What a KafkaTopic asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSpec {
    /// Partitions; `None` = the broker's default, and any number is fine.
    pub partitions: Option<i32>,
    /// Replicas, in the same way.
    pub replicas: Option<i32>,
    /// Every key that the topic has of its own.
    pub config: BTreeMap<String, String>,
}

impl TopicObject {
    /// Reads an object.
    pub fn read(whole: &Value, operator: &str) -> Self {
        let head = Head::read(&whole["metadata"], operator);
        let (spec, status) = (&whole["spec"], &whole["status"]);
        let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
        let config = spec["config"].as_object().into_iter().flatten();
        Self {
            topic: spec["topicName"].as_str().unwrap_or(&head.name).to_owned(),
            spec: TopicSpec {
                partitions: number(&spec["partitions"]),
                replicas: number(&spec["replicas"]),
                config: config.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect(),
            },
            topic_id: status["topicId"].as_str().map(str::to_owned),
            said: Said::read(status),
            head,
        }
    }

    /// The topic as far as its object tells: for whoever cannot ask a broker. What it does not name is 0.
    pub fn as_topic(&self) -> Topic {
        Topic {
            name: self.topic.clone(),
            id: self.topic_id.clone().unwrap_or_default(),
            partitions: self.spec.partitions.unwrap_or_default(),
            replication_factor: self.spec.replicas.unwrap_or_default(),
            config: self.spec.config.clone(),
        }
    }
}

/// A value of the configuration: Strimzi takes text, numbers, truth values, and lists of them.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Object(_) => None,
    }
}

impl TopicSpec {
    /// The object to apply for a topic. `live` is the one that it was decided from.
    pub fn body(
        &self,
        mark: &Mark<'_>,
        topic: &str,
        owner: Option<&str>,
        live: Option<&Head>,
        managed: bool,
    ) -> Value {
        let name = topic_object(topic);
        let mut spec = Map::new();
        if name != topic {
            spec.insert("topicName".to_owned(), json!(topic));
        }
        spec.extend(self.partitions.map(|number| ("partitions".to_owned(), json!(number))));
        spec.extend(self.replicas.map(|number| ("replicas".to_owned(), json!(number))));
        if !self.config.is_empty() {
            spec.insert("config".to_owned(), json!(self.config));
        }
        object(mark, TOPICS.0, &metadata(mark, &name, owner, live, Some(managed)), &spec)
    }
}

/// Of a topic that is to be created. An object that is there keeps the keys that it has.
pub fn created(new: &NewTopic, live: Option<&TopicSpec>) -> TopicSpec {
    let mut spec = live.cloned().unwrap_or_default();
    spec.partitions = new.partitions.or(spec.partitions);
    spec.replicas = new.replication_factor.or(spec.replicas);
    set(&mut spec, &new.config);
    spec
}

/// Of a topic that is taken over: nothing that it has is lost.
pub fn adopted(topic: &Topic) -> TopicSpec {
    TopicSpec {
        partitions: Some(topic.partitions).filter(|number| *number > 0),
        replicas: Some(topic.replication_factor).filter(|number| *number > 0),
        config: topic.config.clone(),
    }
}

/// Of a topic that is ours, as somebody may have changed its object: what is described is set back, and
/// nothing is asked of Kafka that it does not do.
pub fn held(
    live: &TopicSpec,
    topic: &Topic,
    config: &BTreeMap<String, String>,
    replicas: Option<i32>,
) -> TopicSpec {
    let mut spec = live.clone();
    spec.partitions = live.partitions.map(|number| number.max(topic.partitions));
    let right = replicas.filter(|wanted| *wanted == topic.replication_factor);
    spec.replicas = live.replicas.map(|number| right.unwrap_or(number));
    set(&mut spec, config);
    spec
}

/// With more partitions.
pub fn grown(live: &TopicSpec, total: i32) -> TopicSpec {
    TopicSpec { partitions: Some(total), ..live.clone() }
}

/// With other configuration.
pub fn altered(live: &TopicSpec, change: &ConfigChange) -> TopicSpec {
    let mut spec = live.clone();
    let wanted = |(key, value): (&String, &Option<String>)| Some((key.clone(), value.clone()?));
    set(&mut spec, &change.keys.iter().filter_map(wanted).collect());
    spec.config.retain(|key, _| change.keys.get(key) != Some(&None));
    spec
}

/// Sets keys; a value that means the same stays as somebody has spelled it.
fn set(spec: &mut TopicSpec, config: &BTreeMap<String, String>) {
    for (key, value) in config {
        if spec.config.get(key).is_none_or(|live| !same(key, live, value)) {
            spec.config.insert(key.clone(), value.clone());
        }
    }
}
