//! The port of OCSF documents, answered by the mappings of the content.

use std::collections::BTreeMap;

use vigie_model::Documents;
use vigie_normalise::Programme;
use vigie_record::{PathSet, Row, Walk};

use crate::content::Content;
use crate::error::Error;

/// Mappings by log type, each with its walk.
pub(crate) struct MappedDocuments {
    by_log: BTreeMap<String, (Programme, Walk)>,
}

impl MappedDocuments {
    pub(crate) fn new(content: &Content) -> Result<MappedDocuments, Error> {
        let compile = |mapping: &vigie_normalise::Mapping| {
            let programme = mapping.programme(&mut PathSet::new());
            let walk = Walk::compile(&[programme.paths()]);
            (mapping.log.0.clone(), (programme, walk))
        };
        Ok(MappedDocuments { by_log: content.mappings()?.iter().map(compile).collect() })
    }
}

impl Documents for MappedDocuments {
    fn document(&self, log: &str, raw: &[u8]) -> Option<String> {
        let (programme, walk) = self.by_log.get(log)?;
        let mut row = Row::new();
        walk.read(raw, &mut row).ok()?;
        Some(programme.document(&walk.view(&row, 0)))
    }
}
