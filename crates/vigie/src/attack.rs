//! ATT&CK as facts: ids, names, tactics and platforms of techniques, and what became of older ids.
//!
//! The files stand in `content/attack`: `attack.toml`, `techniques.tsv`, `moved.tsv`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::content::Content;
use crate::error::Error;

/// The format of `attack.toml` that this version reads.
const FORMAT: u32 = 1;
/// How often an id may have been replaced, one after the other.
const MOVES_MAX: usize = 8;
/// Rows of a table of content.
pub(crate) const ROWS_MAX: usize = 20_000;

/// Which release is meant, and for which Navigator layers are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    format: u32,
    /// The release of ATT&CK.
    pub(crate) version: String,
    /// The release of the Navigator.
    pub(crate) navigator: String,
    /// The format of its layers.
    pub(crate) layer: String,
    /// The matrix.
    pub(crate) domain: String,
    /// Platforms whose techniques can be seen in the logs of clouds and applications.
    pub(crate) platforms: Vec<String>,
}

/// One technique or sub-technique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Technique {
    /// Its name, without that of the technique above it.
    pub(crate) name: String,
    /// Its tactics, as tags write them.
    pub(crate) tactics: Vec<String>,
    /// Whether it happens in clouds and applications.
    pub(crate) is_cloud: bool,
}

/// The techniques of one release.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) release: Release,
    /// By id.
    pub(crate) techniques: BTreeMap<String, Technique>,
    moved: BTreeMap<String, String>,
}

impl Attack {
    /// Reads the files; `None` when the content has none.
    pub(crate) fn read(content: &Content) -> Result<Option<Attack>, Error> {
        let Some(text) = content.files.get("attack/attack.toml") else {
            return Ok(None);
        };
        let wrong = |what: String| Error::Failed(format!("attack/attack.toml: {what}"));
        let release: Release = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if release.format != FORMAT {
            return Err(wrong(format!("has format {}; this version reads format {FORMAT}", release.format)));
        }
        let mut techniques = BTreeMap::new();
        for row in rows(content, "attack/techniques.tsv", ["id", "name", "tactics", "platforms"])? {
            let [id, name, tactics, platforms] = row;
            let is_cloud = platforms.split(',').any(|platform| release.platforms.iter().any(|known| known == platform));
            let tactics = tactics.split(',').map(str::to_owned).collect();
            techniques.insert(id.to_owned(), Technique { name: name.to_owned(), tactics, is_cloud });
        }
        let moved = rows(content, "attack/moved.tsv", ["old", "new"])?;
        let moved = moved.into_iter().map(|[old, new]| (old.to_owned(), new.to_owned())).collect();
        Ok(Some(Attack { release, techniques, moved }))
    }

    /// The id that this release has for one of any release; `None` when it has none.
    pub(crate) fn current<'a>(&'a self, id: &'a str) -> Option<&'a str> {
        let mut id = id;
        for _ in 0..MOVES_MAX {
            match self.moved.get(id) {
                Some(new) => id = new,
                None => break,
            }
        }
        self.techniques.contains_key(id).then_some(id)
    }

    /// The ids of this release behind some of any release, and the techniques above sub-techniques:
    /// who sees a sub-technique sees the technique happen.
    pub(crate) fn lineage<'a>(&'a self, ids: &'a [String]) -> Vec<&'a str> {
        let mut found: Vec<&str> = ids.iter().filter_map(|id| self.current(id)).collect();
        let above: Vec<&str> = found.iter().filter_map(|id| id.split_once('.')).map(|(above, _)| above).collect();
        found.extend(above);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The name of a technique, with that of the technique above it.
    pub(crate) fn name(&self, id: &str) -> String {
        let own = self.techniques.get(id).map_or(id, |technique| technique.name.as_str());
        let above = id.split_once('.').and_then(|(above, _)| self.techniques.get(above));
        above.map_or_else(|| own.to_owned(), |above| format!("{}: {own}", above.name))
    }
}

/// The rows of a table of content: lines of tabs under a header, `#` begins a comment.
pub(crate) fn rows<'c, const N: usize>(content: &'c Content, name: &str, header: [&str; N]) -> Result<Vec<[&'c str; N]>, Error> {
    let wrong = |number: usize, what: String| Error::Failed(format!("{name}:{}: {what}", number + 1));
    let Some(text) = content.files.get(name) else {
        return Err(Error::Failed(format!("{name} is missing from the content")));
    };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
    let begin = lines.next();
    if begin.map(|(_, line)| line) != Some(header.join("\t").as_str()) {
        return Err(wrong(begin.map_or(0, |(number, _)| number), format!("must begin with the columns {}", header.join(", "))));
    }
    let mut rows = Vec::new();
    for (number, line) in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let count = cells.len();
        let row = <[&str; N]>::try_from(cells).map_err(|_| wrong(number, format!("has {count} columns; the header has {N}")))?;
        if rows.len() == ROWS_MAX {
            return Err(wrong(number, format!("is row {}; a table may have {ROWS_MAX}", ROWS_MAX + 1)));
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::Attack;
    use crate::content::Content;

    /// What an id of any release is called in ours.
    #[track_caller]
    fn check(id: &str, current: Option<&str>, name: &str) {
        let attack = Attack::read(&Content::embedded()).unwrap().unwrap();
        assert_eq!(attack.current(id), current, "{id}");
        assert_eq!(attack.name(current.unwrap_or(id)), name, "{id}");
    }

    #[test]
    fn ids_of_older_releases_are_followed() {
        check("T1078.004", Some("T1078.004"), "Valid Accounts: Cloud Accounts");
        check("T1562.008", Some("T1685.002"), "Disable or Modify Tools: Disable or Modify Cloud Log");
        check("T1562.007", Some("T1686.001"), "Disable or Modify System Firewall: Cloud Firewall");
        check("T1527", Some("T1550.001"), "Use Alternate Authentication Material: Application Access Token");
        check("T9999", None, "T9999");
    }

    #[test]
    fn a_sub_technique_counts_for_the_technique_above_it() {
        let attack = Attack::read(&Content::embedded()).unwrap().unwrap();
        let ids = ["T1562.008".to_owned(), "T1078.004".to_owned(), "T1685".to_owned(), "T9999".to_owned()];
        assert_eq!(attack.lineage(&ids), ["T1078", "T1078.004", "T1685", "T1685.002"]);
    }

    #[test]
    fn every_move_ends_at_a_technique_or_nowhere_at_all() {
        let attack = Attack::read(&Content::embedded()).unwrap().unwrap();
        assert_eq!(attack.techniques.len(), 697);
        let lost: Vec<_> = attack.moved.keys().filter(|old| attack.current(old).is_none()).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let twice: Vec<_> = attack.moved.keys().filter(|old| attack.techniques.contains_key(*old)).collect();
        assert!(twice.is_empty(), "{twice:?} are both here and moved");
    }
}
