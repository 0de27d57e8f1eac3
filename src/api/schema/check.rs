//! Offline validation: what the API server would say to an object.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value, json};

use super::cel::{Evaluator, Verdict};
use super::{crds, kind_of, pattern};
use crate::api::API_VERSION;

/// A field that the schema or one of its rules refuses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaViolation {
    /// Field path, for example `spec.ports[1].name`; empty for the object itself.
    pub path: String,
    /// What is wrong. For rules the same words as the API server's.
    pub message: String,
}

static SCHEMAS: LazyLock<BTreeMap<String, JSONSchemaProps>> = LazyLock::new(|| {
    let schemas = crds().into_iter().flat_map(|crd| {
        let kind = crd.spec.names.kind;
        crd.spec.versions.into_iter().map(move |version| (kind.clone(), version))
    });
    schemas.filter_map(|(kind, version)| Some((kind, version.schema?.open_api_v3_schema?))).collect()
});

/// Checks a Microservice or MicroserviceClass as the API server would with strict field validation:
/// first the schema, then, unless that already makes no sense of the object, the rules. Empty when
/// the object is valid.
pub fn validate(object: &Value) -> Vec<SchemaViolation> {
    let one = |path: &str, message: String| vec![SchemaViolation { path: path.into(), message }];
    if object.get("apiVersion").and_then(Value::as_str) != Some(API_VERSION) {
        return one("apiVersion", format!("must be {API_VERSION}"));
    }
    let Some(schema) = SCHEMAS.get(kind_of(object)) else {
        return one("kind", "must be Microservice or MicroserviceClass".into());
    };
    let mut found = Found::default();
    let object = prepare(schema, object, &mut found);
    found.node("", schema, &object);
    if !found.blocking {
        let structural = found.violations.is_empty();
        found.rules(Evaluator::shared(), structural, "", schema, &object);
    }
    found.violations.sort();
    found.violations.dedup();
    found.violations
}

/// The object as the rules see it: the server drops `status` and null fields, and fills in a generated
/// name.
fn prepare(schema: &JSONSchemaProps, object: &Value, found: &mut Found) -> Value {
    let mut object = object.as_object().cloned().unwrap_or_default();
    object.remove("status");
    let metadata = object.get("metadata").and_then(Value::as_object);
    let field = |name: &str| metadata.and_then(|map| map.get(name)).and_then(Value::as_str);
    let name = match (field("name"), field("generateName")) {
        (Some(name), _) => name.to_string(),
        (None, Some(prefix)) => format!("{prefix}00000"),
        (None, None) => {
            found.blocking("metadata.name", "Required value: name or generateName is required".into());
            String::new()
        }
    };
    object.insert("metadata".into(), json!({ "name": name }));
    let mut object = Value::Object(object);
    drop_null_fields(schema, &mut object);
    object
}

/// Null in a known field means that it is absent; elsewhere it is refused.
fn drop_null_fields(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Array(items) => {
            if let Some(schema) = item_schema(schema) {
                items.iter_mut().for_each(|item| drop_null_fields(schema, item));
            }
        }
        Value::Object(fields) => {
            fields.retain(|name, value| !value.is_null() || field_schema(schema, name).is_none());
            for (name, value) in fields {
                if let Some(schema) = field_schema(schema, name) {
                    drop_null_fields(schema, value);
                }
            }
        }
        _ => {}
    }
}

#[derive(Default)]
struct Found {
    violations: Vec<SchemaViolation>,
    /// Whether the rules would only add noise.
    blocking: bool,
}

impl Found {
    fn add(&mut self, path: &str, message: String) {
        self.violations.push(SchemaViolation { path: path.trim_start_matches('.').into(), message });
    }

    fn blocking(&mut self, path: &str, message: String) {
        self.blocking = true;
        self.add(path, message);
    }

    /// The rules of a value and of all in it. A rule that cannot be evaluated on what the schema
    /// refuses anyway says nothing new.
    fn rules(&mut self, cel: &Evaluator, sound: bool, path: &str, schema: &JSONSchemaProps, value: &Value) {
        let rules = schema.x_kubernetes_validations.as_deref().unwrap_or_default();
        for (rule, verdict) in cel.verdicts(rules, value) {
            match verdict {
                Verdict::Broken => self.add(path, rule.message.clone().unwrap_or_default()),
                Verdict::Failed(error) if sound => self.add(path, format!("rule evaluation error: {error}")),
                Verdict::Kept | Verdict::Failed(_) => {}
            }
        }
        for (path, schema, value) in children(path, schema, value) {
            if let Some(schema) = schema {
                self.rules(cel, sound, &path, schema, value);
            }
        }
    }

    fn node(&mut self, path: &str, schema: &JSONSchemaProps, value: &Value) {
        if !has_type(schema, value) {
            return self.blocking(path, wrong_type(schema, value));
        }
        if let Some(allowed) = &schema.enum_
            && !allowed.iter().any(|allowed| allowed.0 == *value)
        {
            let allowed: Vec<String> = allowed.iter().map(|value| value.0.to_string()).collect();
            return self
                .blocking(path, format!("Unsupported value: supported values: {}", allowed.join(", ")));
        }
        match value {
            Value::String(text) => self.text(path, schema, text),
            Value::Number(number) => self.number(path, schema, number.as_f64().unwrap_or_default()),
            Value::Array(items) => self.array(path, schema, items),
            Value::Object(fields) => self.object(path, schema, fields),
            Value::Null | Value::Bool(_) => {}
        }
        for (path, known, value) in children(path, schema, value) {
            match known {
                Some(known) => self.node(&path, known, value),
                None if matches!(path.as_str(), ".apiVersion" | ".kind" | ".metadata") => {}
                None => self.blocking(&path, unknown(schema, &path)),
            }
        }
    }

    fn text(&mut self, path: &str, schema: &JSONSchemaProps, text: &str) {
        let length = text.chars().count();
        if let Some(maximum) = above(schema.max_length, length) {
            self.blocking(path, format!("Too long: may not be more than {maximum} characters"));
        }
        if let Some(minimum) = below(schema.min_length, length) {
            self.add(path, format!("Invalid value: should be at least {minimum} characters long"));
        }
        let misses = |pattern: &&String| pattern::is_match(pattern, text) == Ok(false);
        if let Some(pattern) = schema.pattern.as_ref().filter(misses) {
            self.add(path, format!("Invalid value: should match '{pattern}'"));
        }
    }

    fn number(&mut self, path: &str, schema: &JSONSchemaProps, number: f64) {
        if let Some(minimum) = schema.minimum.filter(|minimum| number < *minimum) {
            self.add(path, format!("Invalid value: should be greater than or equal to {minimum}"));
        }
        if let Some(maximum) = schema.maximum.filter(|maximum| number > *maximum) {
            self.add(path, format!("Invalid value: should be less than or equal to {maximum}"));
        }
    }

    fn array(&mut self, path: &str, schema: &JSONSchemaProps, items: &[Value]) {
        if let Some(maximum) = above(schema.max_items, items.len()) {
            self.blocking(path, format!("Too many: must have at most {maximum} items"));
        }
        if let Some(minimum) = below(schema.min_items, items.len()) {
            self.add(path, format!("Invalid value: should have at least {minimum} items"));
        }
        let mut seen = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(key) = list_key(schema, item) {
                if seen.contains(&key) {
                    self.add(&path, format!("Duplicate value: {}", Value::Array(key)));
                } else {
                    seen.push(key);
                }
            }
        }
    }

    fn object(&mut self, path: &str, schema: &JSONSchemaProps, fields: &Map<String, Value>) {
        if let Some(maximum) = above(schema.max_properties, fields.len()) {
            self.blocking(path, format!("Too many: must have at most {maximum} items"));
        }
        if let Some(minimum) = below(schema.min_properties, fields.len()) {
            self.add(path, format!("Invalid value: should have at least {minimum} properties"));
        }
        for name in schema.required.iter().flatten().filter(|name| !fields.contains_key(*name)) {
            self.blocking(&format!("{path}.{name}"), "Required value".into());
        }
    }
}

/// Which type is expected, how that is written where it is not plain, and what is there.
fn wrong_type(schema: &JSONSchemaProps, value: &Value) -> String {
    let expected = schema.type_.as_deref().unwrap_or("integer or string");
    let form = match expected {
        "array" => " (a list: each item on a line that begins with \"- \")",
        "object" => " (fields, each on a line of its own: \"name: value\")",
        "string" => " (a text: in quotes when it looks like a number, a date or a word such as yes)",
        _ => "",
    };
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("Invalid value: must be of type {expected}{form}, and it is {given}")
}

/// Of a field that the schema does not know, with the one that may have been meant.
fn unknown(schema: &JSONSchemaProps, path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or_default();
    let fields = schema.properties.iter().flatten().map(|(field, _)| field.as_str());
    let near = fields.map(|field| (strsim::osa_distance(&field.to_lowercase(), &name.to_lowercase()), field));
    match near.min().filter(|(distance, field)| distance * 3 <= field.len()) {
        Some((_, field)) => format!("unknown field: write {field}, or remove it"),
        None => "unknown field: remove it".to_owned(),
    }
}

/// Every item or field of a value with its path and, when the schema knows it, its schema.
fn children<'a>(
    path: &str,
    schema: &'a JSONSchemaProps,
    value: &'a Value,
) -> Vec<(String, Option<&'a JSONSchemaProps>, &'a Value)> {
    match value {
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| (format!("{path}[{index}]"), item_schema(schema), item)).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (format!("{path}.{name}"), field_schema(schema, name), value))
            .collect(),
        _ => Vec::new(),
    }
}

fn item_schema(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(schema)) => Some(schema),
        _ => None,
    }
}

fn field_schema<'a>(schema: &'a JSONSchemaProps, name: &str) -> Option<&'a JSONSchemaProps> {
    let known = schema.properties.as_ref().and_then(|known| known.get(name));
    known.or(match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(schema)) => Some(schema),
        _ => None,
    })
}

fn has_type(schema: &JSONSchemaProps, value: &Value) -> bool {
    match schema.type_.as_deref() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => value.is_string() || value.is_i64() || value.is_u64(),
    }
}

/// The bound, when a size is above it.
fn above(maximum: Option<i64>, size: usize) -> Option<i64> {
    maximum.filter(|maximum| usize::try_from(*maximum).is_ok_and(|maximum| size > maximum))
}

/// The bound, when a size is below it.
fn below(minimum: Option<i64>, size: usize) -> Option<i64> {
    minimum.filter(|minimum| usize::try_from(*minimum).is_ok_and(|minimum| size < minimum))
}

/// What must be unique in a list of keys or in a set.
fn list_key(schema: &JSONSchemaProps, item: &Value) -> Option<Vec<Value>> {
    match (schema.x_kubernetes_list_type.as_deref(), &schema.x_kubernetes_list_map_keys) {
        (Some("map"), Some(keys)) => keys.iter().map(|key| item.get(key).cloned()).collect(),
        (Some("set"), _) => Some(vec![item.clone()]),
        _ => None,
    }
}
