//! Evaluates the rules offline, with Kubernetes' CEL functions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;
use kube::core::cel::KubeCelExt;
use kube::core::cel::cel::extractors::This;
use kube::core::cel::cel::{Context, FunctionContext, ParseErrors, Program, Value};
use serde_json::Value as Json;

use super::bounds::QUANTITY_PATTERN;
use super::pattern;
use crate::api::rules::rules;

static PROGRAMS: LazyLock<BTreeMap<&'static str, Result<Program, ParseErrors>>> =
    LazyLock::new(|| rules().map(|rule| (rule.rule, Program::compile(&unescaped(rule.rule)))).collect());

/// Fields whose names are reserved words have underscores in the server's CEL, and none here.
fn unescaped(rule: &str) -> String {
    rule.replace("__namespace__", "namespace")
}

/// What rules are evaluated in.
pub(super) struct Evaluator {
    context: Context<'static>,
}

/// The outcome of a rule.
pub(super) enum Verdict {
    /// The value keeps the rule.
    Kept,
    /// The value breaks the rule.
    Broken,
    /// The rule cannot be evaluated on this value.
    Failed(String),
}

impl Evaluator {
    fn new() -> Self {
        let mut context = Context::default().with_all();
        // `type(x) == int`, which the library leaves out: types are compared by name.
        context.add_function("type", |value: Value| value.type_of().to_string());
        // Stricter than the library's, which takes exponents that its own arithmetic cannot hold. What
        // this one refuses, the schema refuses too.
        context.add_function("isQuantity", |text: Arc<String>| is_quantity(&text));
        // The library's compiles its pattern anew each time, which costs more than all else.
        context.add_function(
            "matches",
            |ftx: &FunctionContext<'_, '_>, This(text): This<Arc<String>>, pattern: Arc<String>| {
                pattern::is_match(&pattern, &text).map_err(|error| ftx.error(error))
            },
        );
        // Of the server's functions on texts, those that the rules use.
        context.add_function("upperAscii", |This(text): This<Arc<String>>| text.to_ascii_uppercase());
        context.add_function(
            "replace",
            |This(text): This<Arc<String>>, from: Arc<String>, to: Arc<String>| {
                text.replace(from.as_str(), &to)
            },
        );
        for name in ["int", "string"] {
            context.add_variable_from_value(name, name);
        }
        Self { context }
    }

    /// The one that all checks share: setting it up costs more than most of them.
    pub(super) fn shared() -> &'static Self {
        static SHARED: LazyLock<Evaluator> = LazyLock::new(Evaluator::new);
        &SHARED
    }

    /// Evaluates rules of the table with `self` bound to a value, which is converted once for all.
    pub(super) fn verdicts<'r>(
        &self,
        rules: &'r [ValidationRule],
        value: &Json,
    ) -> impl Iterator<Item = (&'r ValidationRule, Verdict)> {
        let bound = if rules.is_empty() { Value::Null } else { convert(value) };
        rules.iter().map(move |rule| (rule, self.verdict(rule, bound.clone())))
    }

    fn verdict(&self, rule: &ValidationRule, value: Value) -> Verdict {
        let program = match PROGRAMS.get(rule.rule.as_str()) {
            Some(Ok(program)) => program,
            Some(Err(error)) => return Verdict::Failed(error.to_string()),
            None => return Verdict::Failed("not in the table of rules".into()),
        };
        let mut scope = self.context.new_inner_scope();
        scope.add_variable_from_value("self", value);
        match program.execute(&scope) {
            Ok(Value::Bool(true)) => Verdict::Kept,
            Ok(Value::Bool(false)) => Verdict::Broken,
            Ok(other) => Verdict::Failed(format!("the rule gives {other:?}")),
            Err(error) => Verdict::Failed(error.to_string()),
        }
    }
}

fn is_quantity(text: &str) -> bool {
    pattern::is_match(QUANTITY_PATTERN, text) == Ok(true)
}

/// Whole numbers are CEL's `int`, as the API server has them.
fn convert(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(convert).collect())),
        Json::Object(fields) => {
            let fields: HashMap<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), convert(value))).collect();
            fields.into()
        }
    }
}
