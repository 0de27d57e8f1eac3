//! A child as it is sent: one JSON text, made once. Building a tree of every child, to hash it and to
//! say which object is meant, cost a tenth of the operator's time.

use serde_json::Value;

/// Where the fields of the metadata begin.
const METADATA: &str = "\"metadata\":{";
/// How annotations begin.
const ANNOTATIONS: &str = "\"annotations\":{";

/// The text of one child. Its fields are in the order of the Kubernetes types, maps are sorted: equal
/// objects have equal texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    text: Box<str>,
    /// Offset of the first field of the metadata.
    metadata: usize,
}

impl Body {
    /// Completes the text of an object: adds fields to its metadata, and an annotation. `None` for what
    /// is no object with metadata.
    pub(super) fn complete(
        object: &str,
        fields: &[(&str, Value)],
        (key, value): (&str, &str),
    ) -> Option<Self> {
        // No object comes before it, in a text quotes are escaped, and its first field are the annotations.
        let (head, tail) = object.split_at_checked(object.find(METADATA)? + METADATA.len())?;
        let mut text = String::with_capacity(object.len() + 512);
        text.push_str(head);
        let annotation = format!("{}:{}", Value::from(key), Value::from(value));
        match tail.strip_prefix(ANNOTATIONS) {
            Some(tail) => text.extend([ANNOTATIONS, &annotation, ",", tail]),
            None => text.extend([ANNOTATIONS, &annotation, "},", tail]),
        }
        let body = Self { text: text.into_boxed_str(), metadata: head.len() };
        let text = body.with(fields, None).into_boxed_str();
        Some(Self { text, ..body })
    }

    /// The object as compact JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The object as a tree, for those who want to look into it.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The text with more fields in its metadata, which has none of these names, and at the end of the
    /// object.
    pub fn with(&self, metadata: &[(&str, Value)], end: Option<(&str, Value)>) -> String {
        let (head, tail) = self.text.split_at_checked(self.metadata).unwrap_or((&self.text, ""));
        let mut text = String::with_capacity(self.text.len() + 128);
        text.push_str(head);
        for (name, value) in metadata {
            text.extend([&Value::from(*name).to_string(), ":", &value.to_string(), ","]);
        }
        text.push_str(tail);
        if let Some((name, value)) = end {
            text.truncate(text.len() - 1);
            text.extend([",", &Value::from(name).to_string(), ":", &value.to_string(), "}"]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;
    use serde_json::json;

    use super::*;

    const ANNOTATION: (&str, &str) = ("a.b/c", "0\"1");

    fn body(annotations: Option<(&str, &str)>, fields: &[(&str, Value)]) -> (Value, Option<Body>) {
        let map = |(key, value): (&str, &str)| [(key.to_owned(), value.to_owned())].into();
        let metadata = ObjectMeta {
            name: Some("a".to_owned()),
            labels: Some(map(("k", r#""metadata":{ "annotations":{"#))),
            annotations: annotations.map(map),
            ..ObjectMeta::default()
        };
        let data = Some(map(("metadata", r#"{"metadata":{"annotations":{"#)));
        let config = ConfigMap { metadata, data, ..ConfigMap::default() };
        let text = serde_json::to_string(&config).unwrap();
        (json!(config), Body::complete(&text, fields, ANNOTATION))
    }

    #[test]
    fn an_annotation_and_an_owner_are_added_where_they_belong() {
        for annotations in [None, Some(("x", "}")), Some(("a", r#""annotations":{"#))] {
            let owner = json!([{"uid": "u"}]);
            let (mut expected, body) = body(annotations, &[("ownerReferences", owner.clone())]);
            expected["metadata"]["annotations"][ANNOTATION.0] = json!(ANNOTATION.1);
            expected["metadata"]["ownerReferences"] = owner;
            assert_eq!(body.unwrap().value(), expected);
        }
    }

    #[test]
    fn an_identity_and_data_are_added_where_they_belong() {
        let (_, body) = body(None, &[]);
        let body = body.unwrap();
        assert_eq!(body.with(&[], None), body.text());
        let (uid, data) = (json!("1-2\""), json!({"token": "eA=="}));
        let identity = [("uid", uid.clone()), ("resourceVersion", json!("1"))];
        let text = body.with(&identity, Some(("binaryData", data.clone())));
        let mut expected = body.value();
        expected["metadata"]["uid"] = uid;
        expected["metadata"]["resourceVersion"] = json!("1");
        expected["binaryData"] = data;
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }

    #[test]
    fn what_has_no_metadata_is_no_body() {
        assert_eq!(Body::complete(r#"{"kind":"Secret"}"#, &[], ANNOTATION), None);
    }
}
