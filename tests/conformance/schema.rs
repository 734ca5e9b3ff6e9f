//! The OCSF schema as a judge: class and declared profiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use vigie_tests::unpack;

/// Schemas of classes, compiled for the profiles that documents declare.
pub struct Schemas {
    compiled: Value,
    classes: BTreeMap<u64, Value>,
    validators: BTreeMap<(u64, Vec<String>), jsonschema::Validator>,
}

impl Schemas {
    pub fn load(corpus: &Path) -> Schemas {
        let text = |name: &str| String::from_utf8(unpack(&corpus.join("ocsf-schema").join(name)).unwrap()).unwrap();
        let compiled = serde_json::from_str(&text("ocsf-1.8.0-compiled.json.zst")).unwrap();
        let class = |line: &str| {
            let class: Value = serde_json::from_str(line).unwrap();
            (class["uid"].as_u64().unwrap(), class)
        };
        let classes = text("ocsf-class-jsonschema-1.8.0.ndjson.zst").lines().map(class).collect();
        Schemas { compiled, classes, validators: BTreeMap::new() }
    }

    /// What is wrong with a document: where, and what.
    pub fn errors(&mut self, document: &Value) -> Vec<String> {
        let Some(class) = document["class_uid"].as_u64().filter(|class| self.classes.contains_key(class)) else {
            return vec![format!("class_uid: {} is no class", document["class_uid"])];
        };
        let declared = document["metadata"]["profiles"].as_array().cloned().unwrap_or_default();
        let mut profiles: Vec<String> = declared.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        profiles.sort();
        let key = (class, profiles);
        if !self.validators.contains_key(&key) {
            let validator = self.validator(class, &key.1);
            self.validators.insert(key.clone(), validator);
        }
        let error = |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path);
        self.validators[&key].iter_errors(document).map(error).collect()
    }

    /// The schema of a class, with the attributes of undeclared profiles taken out.
    fn validator(&self, class: u64, profiles: &[String]) -> jsonschema::Validator {
        let class = &self.classes[&class];
        let attributes = self.compiled["classes"][class["name"].as_str().unwrap()]["attributes"].as_object().unwrap();
        let is_undeclared = |attribute: &Value| {
            let of = attribute["profiles"].as_array();
            of.is_some_and(|of| !of.is_empty() && !profiles.iter().any(|profile| of.contains(&json!(profile))))
        };
        let undeclared: BTreeSet<&String> =
            attributes.iter().filter(|(_, attribute)| is_undeclared(attribute)).map(|(name, _)| name).collect();
        let mut schema = class["schema"].clone();
        schema["required"].as_array_mut().unwrap().retain(|name| !undeclared.iter().any(|other| *name == ***other));
        schema["properties"].as_object_mut().unwrap().retain(|name, _| !undeclared.contains(name));
        jsonschema::validator_for(&schema).unwrap()
    }
}
