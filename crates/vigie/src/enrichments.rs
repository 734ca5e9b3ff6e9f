//! Enrichments: the declarations of the content and of the user's folder, with the tables that lie there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use vigie_model::Millis;
use vigie_normalise::{ContentError, Declaration, Enrichments, Filled, TableFile};

use crate::content::Content;
use crate::error::Error;

/// The file of a declaration.
const DECLARATION: &str = "enrichment.toml";
/// Folders and files of a folder of enrichments that are looked at.
const PLACES_MAX: usize = 4096;
/// Bytes of a declaration.
const DECLARATION_BYTES_MAX: u64 = 256 * 1024;
/// Endings of tables: such a file beside the declarations is meant to be read.
const TABLE_ENDINGS: [&str; 6] = ["csv", "tsv", "yaml", "yml", "json", "mmdb"];

/// What was loaded.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) enrichments: Enrichments,
    /// What is wrong with tables that are used all the same, in sentences.
    pub(crate) faults: Vec<String>,
    tables: Vec<Told>,
}

/// What is said of one enrichment.
#[derive(Debug)]
struct Told {
    name: String,
    rows: u64,
    /// When its table was made; none for one that comes with the content.
    made: Option<Millis>,
}

impl Loaded {
    /// Which tables are loaded, with their rows and ages.
    pub(crate) fn summary(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = Millis::try_from(now).unwrap_or(Millis::MAX);
        if self.tables.is_empty() {
            return "no table is loaded".to_owned();
        }
        let told = |told: &Told| {
            let days = told.made.map(|made| now.saturating_sub(made).max(0) / 86_400_000);
            let age = days.map(|days| format!(", {days} days old")).unwrap_or_default();
            format!("{} ({} rows{age})", told.name, told.rows)
        };
        self.tables.iter().map(told).collect::<Vec<String>>().join(", ")
    }
}

/// A declaration, and where its tables may lie.
struct Declared<'c> {
    declaration: Declaration,
    /// Whether it stands in the user's folder.
    is_own: bool,
    content: &'c Content,
    folder: Option<&'c Path>,
}

/// Loads what the content and a folder declare. Without a table an enrichment of the content is not there;
/// one of the folder must have one.
pub(crate) fn load(content: &Content, folder: Option<&Path>) -> Result<Loaded, Error> {
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(Error::Usage(format!("`{}` is no folder of enrichments", folder.display())));
    }
    let mut declared = of_content(content, folder)?;
    let places = folder.map(list).transpose()?.unwrap_or_default();
    for place in places.iter().filter(|place| place.join(DECLARATION).is_file()) {
        let path = place.join(DECLARATION);
        let text = String::from_utf8(read(&path, DECLARATION_BYTES_MAX)?);
        let text = text.map_err(|_| Error::Failed(format!("`{}` is no UTF-8 text", path.display())))?;
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let declaration = Declaration::parse(&name, &path.display().to_string(), &text).map_err(failed)?;
        declared.insert(name, Declared { declaration, is_own: true, content, folder });
    }
    let mut loaded = Loaded::default();
    let mut filled = Vec::new();
    for declared in declared.values() {
        filled.extend(declared.fill(&mut loaded)?);
    }
    loaded.enrichments = Enrichments::new(filled);
    loaded.faults.extend(strays(&places, &declared));
    Ok(loaded)
}

/// Those that a test of a content uses: each with the rows of its fixture, or with the table that comes with it.
pub(crate) fn fixtures(content: &Content) -> Result<Enrichments, Error> {
    let mut filled = Vec::new();
    for (name, declared) in of_content(content, None)? {
        filled.extend(declared.fixture(&name).map_err(failed)?.map(|filled| filled.enrichment));
    }
    Ok(Enrichments::new(filled))
}

/// A table that was read, or why it was not.
pub(crate) type Tested = Result<(Declaration, Enrichments), ContentError>;

/// The declarations of a content, each with the rows that it is tested with.
pub(crate) fn tested(content: &Content) -> Vec<(String, Tested)> {
    let test = |(name, text): (String, &String)| {
        let place = format!("enrichments/{name}/{DECLARATION}");
        let tested = Declaration::parse(&name, &place, text).and_then(|declaration| {
            let declared = Declared { declaration, is_own: false, content, folder: None };
            let filled = declared.fixture(&name)?.ok_or_else(|| ContentError {
                file: place.clone(),
                what: "has neither a table nor a fixture.csv: write one with the columns that it reads".to_owned(),
            })?;
            match filled.faults.into_iter().next() {
                Some(fault) => Err(fault),
                None => Ok((declared.declaration, Enrichments::new(vec![filled.enrichment]))),
            }
        });
        (name, tested)
    };
    texts(content).map(test).collect()
}

fn failed(error: ContentError) -> Error {
    Error::Failed(error.to_string())
}

/// The declarations of a content, by name.
fn texts(content: &Content) -> impl Iterator<Item = (String, &String)> {
    content.files.iter().filter_map(|(path, text)| {
        let name = path.strip_prefix("enrichments/")?.strip_suffix(DECLARATION)?.strip_suffix('/')?;
        (!name.contains('/')).then(|| (name.to_owned(), text))
    })
}

fn of_content<'c>(content: &'c Content, folder: Option<&'c Path>) -> Result<BTreeMap<String, Declared<'c>>, Error> {
    let mut declared = BTreeMap::new();
    for (name, text) in texts(content) {
        let place = format!("enrichments/{name}/{DECLARATION}");
        let declaration = Declaration::parse(&name, &place, text).map_err(failed)?;
        declared.insert(name, Declared { declaration, is_own: false, content, folder });
    }
    Ok(declared)
}

impl Declared<'_> {
    /// The enrichment with its tables, where it has one.
    fn fill(&self, loaded: &mut Loaded) -> Result<Option<vigie_normalise::Enrichment>, Error> {
        let name = self.declaration.name();
        let names: BTreeSet<&str> = self.declaration.files().collect();
        let (mut files, mut changed) = (Vec::new(), None);
        for file in &names {
            let path = self.places(file).into_iter().find(|path| path.is_file());
            if let Some(path) = path {
                changed = changed.max(modified(&path));
                let bytes = read(&path, self.declaration.bytes_max())?;
                files.push(TableFile { name: (*file).to_owned(), place: path.display().to_string(), bytes });
            } else if let Some(text) = self.content.files.get(&format!("enrichments/{name}/{file}")) {
                let place = format!("enrichments/{name}/{file}");
                files.push(TableFile { name: (*file).to_owned(), place, bytes: text.clone().into_bytes() });
            }
        }
        if files.is_empty() {
            let names: Vec<&str> = names.into_iter().collect();
            let lacks = || format!("the enrichment `{name}` has none of its tables: put `{}` beside it", names.join("`, `"));
            return if self.is_own { Err(Error::Failed(lacks())) } else { Ok(None) };
        }
        let Filled { enrichment, faults, left_out } = self.declaration.fill(files).map_err(failed)?;
        loaded.faults.extend(faults.iter().map(ToString::to_string));
        let more = left_out.saturating_sub(faults.len() as u64);
        if more > 0 {
            loaded.faults.push(format!("{more} more rows of the enrichment `{name}` are left out"));
        }
        let made = enrichment.built().or(changed);
        loaded.tables.push(Told { name: name.to_owned(), rows: enrichment.rows(), made });
        Ok(Some(enrichment))
    }

    /// Where a table of the user may lie: beside the declaration, or beside its folder.
    fn places(&self, file: &str) -> Vec<PathBuf> {
        let folder = |folder: &Path| vec![folder.join(self.declaration.name()).join(file), folder.join(file)];
        self.folder.map(folder).unwrap_or_default()
    }

    /// The enrichment with the rows of its fixture, else with the table that the content has.
    fn fixture(&self, name: &str) -> Result<Option<Filled>, ContentError> {
        let file = |file: &str| {
            let place = format!("enrichments/{name}/{file}");
            let bytes = self.content.files.get(&place)?.clone().into_bytes();
            Some(TableFile { name: file.to_owned(), place, bytes })
        };
        if let Some(fixture) = file("fixture.csv") {
            return self.declaration.fill_fixture(fixture).map(Some);
        }
        let names: BTreeSet<&str> = self.declaration.files().collect();
        let files: Vec<TableFile> = names.into_iter().filter_map(file).collect();
        if files.is_empty() { Ok(None) } else { self.declaration.fill(files).map(Some) }
    }
}

/// What lies in a folder of enrichments.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", folder.display()));
    let mut places = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        places.push(entry.map_err(failed)?.path());
        if places.len() > PLACES_MAX {
            return Err(Error::Failed(format!(
                "`{}` holds more than {PLACES_MAX} files: is it the right folder?",
                folder.display()
            )));
        }
    }
    places.sort();
    Ok(places)
}

/// Tables in the folder that nothing reads: their names are wrong, most likely.
fn strays(places: &[PathBuf], declared: &BTreeMap<String, Declared<'_>>) -> Vec<String> {
    let known: BTreeSet<&str> = declared.values().flat_map(|declared| declared.declaration.files()).collect();
    let is_table = |path: &&PathBuf| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        TABLE_ENDINGS.contains(&ending.as_str()) && path.is_file()
    };
    let is_stray = |path: &&PathBuf| path.file_name().is_none_or(|name| !known.contains(&*name.to_string_lossy()));
    let said = |path: &PathBuf| {
        format!("`{}` is the table of no enrichment: docs/guide/enrichment.md names those that there are", path.display())
    };
    places.iter().filter(is_table).filter(is_stray).map(said).collect()
}

/// The bytes of a file, which has a limit.
fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > bytes_max {
        return Err(Error::Failed(format!("`{}` has {bytes} bytes, and may have {bytes_max}", path.display())));
    }
    std::fs::read(path).map_err(failed)
}

/// When a file was changed.
fn modified(path: &Path) -> Option<Millis> {
    let at: SystemTime = std::fs::metadata(path).ok()?.modified().ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}
