//! The port of OCSF documents, answered by the mappings of the content.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use vigie_model::Documents;
use vigie_normalise::{Enriching, Programme};
use vigie_record::{LineSet, OneLine, PathSet, Row, Walk};

use crate::content::Content;
use crate::error::Error;

/// What makes documents of the records of one log.
struct Mapped {
    programme: Programme,
    walk: Walk,
    /// Its lines of text: a row may hold the line that its record was made of.
    lines: LineSet,
}

type ByLog = BTreeMap<String, Mapped>;

/// Mappings by log type, each with its walk. Others may take their place while questions are answered.
pub(crate) struct MappedDocuments {
    by_log: RwLock<Arc<ByLog>>,
}

impl MappedDocuments {
    pub(crate) fn new(content: &Content) -> Result<MappedDocuments, Error> {
        let compile = |mapping: &vigie_normalise::Mapping| {
            let programme = mapping.programme(&mut PathSet::new());
            let walk = Walk::compile(&[programme.paths()]);
            let lines = LineSet::new(&[(0, &mapping.lines)]);
            (mapping.log.0.clone(), Mapped { programme, walk, lines })
        };
        let by_log: ByLog = content.mappings()?.iter().map(compile).collect();
        Ok(MappedDocuments { by_log: RwLock::new(Arc::new(by_log)) })
    }

    /// Reads by the mappings of another from now on.
    pub(crate) fn replace(&self, other: MappedDocuments) {
        let by_log = other.by_log.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.by_log.write().unwrap_or_else(PoisonError::into_inner) = by_log;
    }
}

impl Documents for MappedDocuments {
    fn document(&self, log: &str, raw: &[u8], enrichment: &str) -> Option<String> {
        let by_log = Arc::clone(&self.by_log.read().unwrap_or_else(PoisonError::into_inner));
        let Mapped { programme, walk, lines } = by_log.get(log)?;
        let made = match lines.one(raw, None) {
            Some(OneLine::Made { record, .. }) => Some(record),
            _ => None,
        };
        let mut row = Row::new();
        walk.read(made.as_deref().unwrap_or(raw), &mut row).ok()?;
        Some(programme.enriched_document(&walk.view(&row, 0), raw, Enriching::Stored(enrichment)))
    }
}
