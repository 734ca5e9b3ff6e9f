//! `exports.toml`: tables in which people get the records of a log, and what their columns are.

use std::collections::BTreeMap;

use serde::Deserialize;
use vigie_record::{CellKind, Column, Export};

use crate::ContentError;
use crate::files::FORMAT;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportsFile {
    format: u32,
    export: Vec<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    columns_required: Vec<String>,
    /// The column that holds the whole record.
    #[serde(default)]
    record: Option<String>,
    #[serde(default)]
    text: BTreeMap<String, String>,
    #[serde(default)]
    nested: BTreeMap<String, String>,
    /// For a nested column, the record's spelling of members.
    #[serde(default)]
    members: BTreeMap<String, BTreeMap<String, String>>,
}

/// Reads the file.
pub(crate) fn parse(text: &str) -> Result<Vec<Export>, ContentError> {
    let wrong = |what: String| ContentError::new("exports.toml", what);
    let file: ExportsFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if file.format != FORMAT {
        return Err(wrong(format!("has format {}; this version reads format {FORMAT}", file.format)));
    }
    file.export.into_iter().map(|section| export(section).map_err(wrong)).collect()
}

fn export(section: Section) -> Result<Export, String> {
    let Section { title, columns_required: required, record: whole, text, nested, mut members } = section;
    let known = |name: &String| text.contains_key(name) || nested.contains_key(name) || whole.as_ref() == Some(name);
    if required.is_empty() {
        return Err(format!("`{title}` has no `columns_required`; write the columns by which its header is recognised"));
    }
    if let Some(name) = required.iter().find(|name| !known(name)) {
        return Err(format!("`{title}` requires `{name}`, which it does not read; write it under `text` or `nested`"));
    }
    if let Some(name) = members.keys().find(|name| !nested.contains_key(*name)) {
        return Err(format!("`{title}` spells members of `{name}`; write this column under `nested`"));
    }
    let mut columns = Vec::new();
    for (name, path) in text {
        columns.push(Column { name, path, kind: CellKind::Text });
    }
    for (name, path) in nested {
        let kind = CellKind::Nested(members.remove(&name).unwrap_or_default());
        columns.push(Column { name, path, kind });
    }
    Ok(Export { required, whole, columns })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn mistakes_are_said() {
        let head = "format = 1\n[[export]]\ntitle = \"T\"\n";
        let check = |body: &str, said: &str| {
            let error = parse(&format!("{head}{body}")).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        };
        check("columns_required = []\n", "has no `columns_required`");
        check("columns_required = [\"a\"]\n", "requires `a`");
        check(
            "columns_required = [\"a\"]\n[export.text]\na = \"b\"\n[export.members.a]\nx = \"y\"\n",
            "write this column under `nested`",
        );
        assert!(parse("format = 2\nexport = []\n").unwrap_err().to_string().contains("format 2"));
        let good = format!("{head}columns_required = [\"a\"]\nrecord = \"a\"\n[export.nested]\nc = \"d.e\"\n");
        assert_eq!(parse(&good).unwrap().len(), 1);
    }
}
