//! Server-side apply: who owns which field, and what an apply makes of an object. Lists are owned as a
//! whole; keys of lists, as the real server has them, would tell the operator nothing more.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Names of fields with those below them; a field without any below it is a leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, Fields>);

/// One field manager of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its name.
    pub name: String,
    /// Whether it updates; else it applies.
    pub updates: bool,
    /// The subresource that it writes.
    pub subresource: Option<String>,
    /// What it owns.
    pub fields: Fields,
}

/// What the server itself sets in `metadata`, and what says which object is meant: nobody owns it.
const UNOWNED: [&str; 7] =
    ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"];

impl Fields {
    fn of(object: &Map<String, Value>) -> Self {
        let below = |value: &Value| value.as_object().map(Self::of).unwrap_or_default();
        Self(object.iter().map(|(name, value)| (name.clone(), below(value))).collect())
    }

    /// As `fieldsV1`.
    pub fn json(&self) -> Value {
        self.0.iter().map(|(name, below)| (format!("f:{name}"), below.json())).collect::<Map<_, _>>().into()
    }

    /// Takes those away which `body` sets to something else than `live`.
    fn yield_to(&mut self, body: &Map<String, Value>, live: &Map<String, Value>) {
        self.0.retain(|name, below| match (body.get(name), live.get(name)) {
            (Some(Value::Object(body)), Some(Value::Object(live))) if !below.0.is_empty() => {
                below.yield_to(body, live);
                !below.0.is_empty()
            }
            (Some(wanted), live) => Some(wanted) == live,
            (None, _) => true,
        });
    }
}

impl Manager {
    /// Writes a field as an autoscaler does, who asks nobody; returns who owns what then.
    pub fn scales(managers: &[Self], live: &Map<String, Value>, count: i64) -> Vec<Self> {
        let body = Map::from_iter([("spec".to_owned(), json!({"replicas": count}))]);
        let mut managers = managers.to_vec();
        managers.iter_mut().for_each(|manager| manager.fields.yield_to(&body, live));
        managers.retain(|manager| !manager.fields.0.is_empty());
        managers.push(Self {
            name: "kube-controller-manager".to_owned(),
            updates: true,
            subresource: Some("scale".to_owned()),
            fields: Fields::of(&body),
        });
        managers
    }

    /// As an entry of `metadata.managedFields`.
    pub fn json(&self) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.updates { "Update" } else { "Apply" },
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.json(),
        });
        if let Some(subresource) = &self.subresource {
            entry["subresource"] = json!(subresource);
        }
        entry
    }
}

/// An apply as it is asked for.
pub struct Apply<'a> {
    /// Who applies.
    pub manager: &'a str,
    /// What: `status` or the object without it.
    pub subresource: Option<&'a str>,
    /// Whether fields are taken from others.
    pub force: bool,
    /// The object.
    pub body: Map<String, Value>,
}

impl Apply<'_> {
    /// Applies to what is stored and returns what is to be stored.
    ///
    /// # Errors
    /// The first field that somebody else owns with another value.
    pub fn to(
        mut self,
        live: &Map<String, Value>,
        managers: &[Manager],
    ) -> Result<(Map<String, Value>, Vec<Manager>), String> {
        self.reduce();
        let wanted = Fields::of(&self.body);
        let is_mine = |one: &Manager| {
            !one.updates && one.name == self.manager && one.subresource.as_deref() == self.subresource
        };
        let (mine, mut others): (Vec<Manager>, Vec<Manager>) = managers.iter().cloned().partition(is_mine);
        for other in &mut others {
            let before = other.fields.clone();
            other.fields.yield_to(&self.body, live);
            if other.fields != before && !self.force {
                return Err(format!("Apply failed with 1 conflict: conflict with \"{}\"", other.name));
            }
        }
        others.retain(|other| !other.fields.0.is_empty());
        let mut result = live.clone();
        if let Some(mine) = mine.first() {
            let owned: Vec<&Fields> = others.iter().map(|other| &other.fields).collect();
            remove_lost(&mut result, &mine.fields, &wanted, &owned);
        }
        merge(&mut result, self.body);
        if !wanted.0.is_empty() {
            others.push(Manager {
                name: self.manager.to_owned(),
                updates: false,
                subresource: self.subresource.map(str::to_owned),
                fields: wanted,
            });
        }
        others.sort_by(|a, b| (&a.name, &a.subresource).cmp(&(&b.name, &b.subresource)));
        Ok((result, others))
    }

    /// Leaves what can be owned.
    fn reduce(&mut self) {
        self.body.retain(|name, _| match self.subresource {
            Some(subresource) => name == subresource,
            None => !["apiVersion", "kind", "status"].contains(&name.as_str()),
        });
        if let Some(Value::Object(metadata)) = self.body.get_mut("metadata") {
            metadata.retain(|name, _| !UNOWNED.contains(&name.as_str()));
            if metadata.is_empty() {
                self.body.remove("metadata");
            }
        }
    }
}

/// Removes what `old` names and neither `new` nor anybody else does.
fn remove_lost(object: &mut Map<String, Value>, old: &Fields, new: &Fields, others: &[&Fields]) {
    let nothing = Fields::default();
    for (name, below) in &old.0 {
        let others: Vec<&Fields> = others.iter().filter_map(|fields| fields.0.get(name)).collect();
        let kept = new.0.get(name);
        if let Some(Value::Object(map)) = object.get_mut(name) {
            remove_lost(map, below, kept.unwrap_or(&nothing), &others);
        }
        let empty = object.get(name).and_then(Value::as_object).is_none_or(Map::is_empty);
        if kept.is_none() && others.is_empty() && empty {
            object.remove(name);
        }
    }
}

fn merge(object: &mut Map<String, Value>, body: Map<String, Value>) {
    for (name, value) in body {
        match (object.get_mut(&name), value) {
            (Some(Value::Object(live)), Value::Object(value)) => merge(live, value),
            (_, value) => {
                object.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(
        live: &(Map<String, Value>, Vec<Manager>),
        manager: &str,
        force: bool,
        body: &Value,
    ) -> Result<(Map<String, Value>, Vec<Manager>), String> {
        let body = body.as_object().unwrap().clone();
        Apply { manager, subresource: None, force, body }.to(&live.0, &live.1)
    }

    #[test]
    fn what_a_manager_no_longer_applies_goes_unless_another_owns_it() {
        let body =
            json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "1"}}, "spec": {"n": 1, "l": [1]}});
        let first = applied(&Default::default(), "a", true, &body).unwrap();
        let both = applied(&first, "b", false, &json!({"spec": {"n": 1}})).unwrap();
        let (object, managers) =
            applied(&both, "a", true, &json!({"metadata": {"labels": {"y": "2"}}})).unwrap();
        assert_eq!(Value::Object(object), json!({"metadata": {"labels": {"y": "2"}}, "spec": {"n": 1}}));
        assert_eq!(managers[0].fields.json(), json!({"f:metadata": {"f:labels": {"f:y": {}}}}));
        assert_eq!(managers.len(), 2);
    }

    #[test]
    fn a_field_is_taken_by_force_only() {
        let first = applied(&Default::default(), "a", true, &json!({"spec": {"n": 1}})).unwrap();
        assert!(applied(&first, "b", false, &json!({"spec": {"n": 2}})).is_err());
        let (object, managers) = applied(&first, "b", true, &json!({"spec": {"n": 2}})).unwrap();
        assert_eq!(Value::Object(object), json!({"spec": {"n": 2}}));
        assert_eq!(managers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
