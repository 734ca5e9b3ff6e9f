//! Content: what is embedded in the binary, with a folder of the user's laid over it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use serde::Deserialize;
use vigie_detect::RuleSource;
use vigie_normalise::{ContentError, Mapping, Texts};
use vigie_pipeline::{DigestFormat, GenericPaths};

use crate::error::Error;

/// What `build.rs` packed: the content, and what proves it.
static CONTENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/content.pack"));
static PROOFS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/proofs.pack"));
/// Files that only a whole content has: such a folder is not laid over ours.
const WHOLE: [&str; 3] = ["schema/columns.toml", "text/en.toml", "verbs/verbs.toml"];
/// Deepest nesting of content folders.
const FOLDER_DEPTH_MAX: usize = 16;

/// All content files by their path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) files: BTreeMap<String, String>,
    /// Paths of the files that came from the user's folder.
    laid_over: BTreeSet<String>,
}

/// How a person gets the logs of a vendor.
pub(crate) struct Export {
    /// The vendor's name.
    pub(crate) name: String,
    /// The command.
    pub(crate) command: String,
    /// What `--log` must be given, where no log of the vendor has a mapping.
    pub(crate) native_log: Option<String>,
}

#[derive(Deserialize)]
struct TaxonomyFile {
    log: String,
    fields: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct GenericFile {
    time: Vec<String>,
    id: Vec<String>,
}

impl Content {
    /// What comes with the binary, without samples and pages.
    pub(crate) fn embedded() -> Content {
        let mut content = Content::default();
        unpack(CONTENT, &mut content.files);
        content
    }

    /// What comes with the binary, with samples and pages.
    pub(crate) fn proven() -> Result<Content, Error> {
        let (mut content, mut proofs) = (Content::embedded(), Vec::new());
        DeflateDecoder::new(PROOFS).read_to_end(&mut proofs)?;
        unpack(&proofs, &mut content.files);
        Ok(content)
    }

    /// The embedded content with a folder laid over it.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Content, Error> {
        let mut content = Content::embedded();
        if let Some(folder) = folder {
            let files = read_tree(folder)?;
            content.laid_over.extend(files.keys().cloned());
            content.files.extend(files);
        }
        Ok(content)
    }

    /// A whole content folder by itself, so that what it leaves out is missing; a part of one laid
    /// over what comes with the binary; or that alone. With samples and pages.
    pub(crate) fn tree(folder: Option<&Path>) -> Result<Content, Error> {
        let Some(folder) = folder else {
            return Content::proven();
        };
        let files = read_tree(folder)?;
        if WHOLE.iter().all(|name| files.contains_key(*name)) {
            let laid_over = files.keys().cloned().collect();
            return Ok(Content { files, laid_over });
        }
        let laid_over = files.keys().cloned().collect();
        let mut content = Content::proven()?;
        content.files.extend(files);
        Ok(Content { laid_over, ..content })
    }

    /// The mappings of all logs, in the order of their folders.
    pub(crate) fn mappings(&self) -> Result<Vec<Mapping>, Error> {
        let is_log = |path: &&String| path.starts_with("vendors/") && path.ends_with("/log.toml");
        let classes = self.classes();
        let mut mappings = Vec::new();
        for path in self.files.keys().filter(is_log) {
            let folder = path.trim_end_matches("log.toml");
            let mut mapping = self.mapping(folder).map_err(|error| Error::Failed(format!("{folder}{error}")))?;
            mapping.know_classes(classes.values().copied());
            mappings.push(mapping);
        }
        Ok(mappings)
    }

    /// The mapping in a folder. A file with a slash in its name is one of another log, `product/service/file`.
    fn mapping(&self, folder: &str) -> Result<Mapping, ContentError> {
        let place = |name: &str| match name.split_once('/') {
            Some((product, rest)) => format!("vendors/{product}/logs/{rest}"),
            None => format!("{folder}{name}"),
        };
        Mapping::parse(&|name| self.files.get(&place(name)).cloned())
    }

    /// OCSF class numbers by name.
    pub(crate) fn classes(&self) -> BTreeMap<String, u32> {
        let table = self.files.get("schema/ocsf-1.8.0-classes.tsv").map(String::as_str).unwrap_or_default();
        let row = |line: &str| {
            let mut columns = line.split('\t');
            let number = columns.next()?.parse().ok()?;
            Some((columns.next()?.to_owned(), number))
        };
        table.lines().filter_map(row).collect()
    }

    /// Where records without a mapping name their time and id.
    pub(crate) fn generic(&self) -> Result<GenericPaths, Error> {
        let text = self.files.get("schema/generic.toml").map(String::as_str).unwrap_or_default();
        let file: GenericFile = toml::from_str(text).map_err(|error| Error::Failed(format!("schema/generic.toml: {error}")))?;
        let mut taxonomies = BTreeMap::new();
        for (path, text) in self.files.iter().filter(|(path, _)| path.ends_with("/taxonomy.toml")) {
            let file: TaxonomyFile = toml::from_str(text).map_err(|error| Error::Failed(format!("{path}: {error}")))?;
            taxonomies.insert(file.log, file.fields);
        }
        Ok(GenericPaths { time: file.time, id: file.id, taxonomies })
    }

    /// How digests that prove collection are written.
    pub(crate) fn digests(&self) -> Result<Option<DigestFormat>, Error> {
        let Some((path, text)) = self.files.iter().find(|(path, _)| path.ends_with("/digest.toml")) else {
            return Ok(None);
        };
        toml::from_str(text).map(Some).map_err(|error| Error::Failed(format!("{path}: {error}")))
    }

    /// The texts of a language.
    pub(crate) fn texts(&self, language: &str) -> Result<Texts, Error> {
        let name = format!("text/{language}.toml");
        let text = self.files.get(&name).map(String::as_str).unwrap_or_default();
        Texts::parse(&name, text).map_err(|error| Error::Failed(error.to_string()))
    }

    /// The rules that come with the content.
    pub(crate) fn rules(&self) -> Vec<RuleSource> {
        let is_rule = |(path, _): &(&String, &String)| path.starts_with("rules/") && is_yaml(path);
        self.files.iter().filter(is_rule).map(|(place, text)| RuleSource { place: place.clone(), text: text.clone() }).collect()
    }

    /// The rules among them that stand in the user's folder, not in the binary alone.
    pub(crate) fn rules_laid_over(&self) -> Vec<RuleSource> {
        self.rules().into_iter().filter(|rule| self.laid_over.contains(&rule.place)).collect()
    }

    /// A word of a vendor's file: its `name`, or `export`, how people get its logs.
    pub(crate) fn vendor(&self, product: &str, key: &str) -> Option<String> {
        let table: toml::Table = self.files.get(&format!("vendors/{product}/vendor.toml"))?.parse().ok()?;
        Some(table.get(key)?.as_str()?.to_owned())
    }

    /// How to get the logs of each vendor.
    pub(crate) fn exports(&self) -> Vec<Export> {
        let is_vendor = |(path, _): &(&String, &String)| path.ends_with("/vendor.toml");
        let read = |(path, text): (&String, &String)| {
            let table: toml::Table = text.parse().ok()?;
            let word = |key: &str| Some(table.get(key)?.as_str()?.to_owned());
            let logs = path.replace("vendor.toml", "logs/");
            let is_mapped = self.files.keys().any(|path| path.starts_with(&logs) && path.ends_with("/log.toml"));
            Some(Export { name: word("name")?, command: word("export")?, native_log: word("native_log").filter(|_| !is_mapped) })
        };
        self.files.iter().filter(is_vendor).filter_map(read).collect()
    }
}

/// Whether a file may hold rules, by its name.
pub(crate) fn is_yaml(path: &str) -> bool {
    path.ends_with(".yml") || path.ends_with(".yaml")
}

/// Every text file under a folder, by its path inside it.
pub(crate) fn read_tree(root: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::new();
    let mut waiting: Vec<(PathBuf, usize)> = vec![(root.to_owned(), 0)];
    while let Some((path, depth)) = waiting.pop() {
        let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", path.display()));
        let data = std::fs::metadata(&path).map_err(failed)?;
        if data.is_dir() {
            if depth > FOLDER_DEPTH_MAX {
                return Err(Error::Failed(format!("`{}` is nested too deeply", path.display())));
            }
            for entry in std::fs::read_dir(&path).map_err(failed)? {
                waiting.push((entry.map_err(failed)?.path(), depth + 1));
            }
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let name = path.strip_prefix(root).ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(&path);
            files.insert(name.to_string_lossy().replace('\\', "/"), text);
        }
    }
    Ok(files)
}

/// The rules in files and folders that the user named.
pub(crate) fn user_rules(paths: &[PathBuf]) -> Result<Vec<RuleSource>, Error> {
    let mut sources = Vec::new();
    for path in paths {
        let files = read_tree(path)?;
        let is_single = files.len() == 1 && path.is_file();
        for (name, text) in files.into_iter().filter(|(name, _)| is_yaml(name) || is_single) {
            let place = if is_single { path.display().to_string() } else { format!("{}/{name}", path.display()) };
            sources.push(RuleSource { place, text });
        }
    }
    Ok(sources)
}
/// Adds the files of a pack: of each a line with its path and its length, and its text.
fn unpack(mut pack: &[u8], files: &mut BTreeMap<String, String>) {
    while let Some(end) = memchr::memchr(b'\n', pack) {
        let head = String::from_utf8_lossy(pack.get(..end).unwrap_or_default());
        let Some((path, length)) = head.split_once('\t').and_then(|(path, length)| Some((path, length.parse::<usize>().ok()?)))
        else {
            return;
        };
        let rest = pack.get(end + 1..).unwrap_or_default();
        let text = rest.get(..length).unwrap_or_default();
        files.insert(path.to_owned(), String::from_utf8_lossy(text).into_owned());
        pack = rest.get(length..).unwrap_or_default();
    }
}
