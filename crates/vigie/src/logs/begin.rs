//! `vigie logs new`: a folder of content that begins a log type, from a few of its records.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vigie_model::limits::RECORD_BYTES_MAX;
use vigie_model::{LogType, MemorySource};
use vigie_normalise::{Gaps, Mapping, Proposal, propose};
use vigie_record::{Cut, Cutter, PathSet, Row, Shape, Value, Walk, each_item, each_member};

use crate::content::Content;
use crate::error::Error;
use crate::output::line;

/// Bytes of a file that are looked at.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Runs the command.
pub(super) fn run(from: &Path, id: &str, write: Option<&Path>) -> Result<ExitCode, Error> {
    let content = Content::embedded();
    let log = name(id, &content)?;
    let root = write.map_or_else(|| PathBuf::from(id.replace('/', "-")), Path::to_path_buf);
    if root.exists() {
        return Err(Error::Usage(format!("`{}` exists; name a new folder with --write", root.display())));
    }
    let bytes = read(from)?;
    let (places, envelope) = cut(&bytes);
    let records: Vec<&[u8]> = places.iter().filter_map(|range| bytes.get(range.clone())).collect();
    if records.is_empty() {
        return Err(Error::Failed(format!("`{}` holds no JSON objects; give an object a line", from.display())));
    }
    is_new(&content, &records)?;
    let proposal = propose(&log, &records, envelope.as_deref()).map_err(Error::Failed)?;
    let mapping = Mapping::parse(&|name| proposal.files.get(name).cloned())
        .map_err(|error| Error::Failed(format!("what was proposed is no mapping; please report this as a bug: {error}")))?;
    let files = files(&content, &log, &proposal, &mapping, &records)?;
    for (name, text) in &files {
        let path = root.join(name);
        let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", path.display()));
        fs::create_dir_all(path.parent().unwrap_or(&root)).and_then(|()| fs::write(&path, text)).map_err(failed)?;
    }
    told(&root, from, &files, &proposal, &mapping, &records)?;
    Ok(ExitCode::SUCCESS)
}

/// The log type that an id names: one that can be a folder, and that is not there.
fn name(id: &str, content: &Content) -> Result<LogType, Error> {
    let is_plain = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/_-.".contains(c)) && !id.contains("..");
    let log = LogType::parse(id).filter(|log| is_plain && !log.product().starts_with('.') && !log.service().starts_with('.'));
    let log = log.ok_or_else(|| Error::Usage(format!("`{id}` is no log type; write product/service in lower case")))?;
    let place = format!("vendors/{}/logs/{}/log.toml", log.product(), log.service());
    if content.files.contains_key(&place) {
        return Err(Error::Usage(format!("`{id}` is a log type already; `vigie logs gaps` says what its mapping does not read")));
    }
    Ok(log)
}

fn read(from: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let failed = |error: std::io::Error| Error::Failed(format!("`{}`: {error}", from.display()));
    File::open(from).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

/// Where records stand in a file, and the key whose array holds them, when there is one.
fn cut(bytes: &[u8]) -> (Vec<std::ops::Range<usize>>, Option<String>) {
    let places = records(bytes, Vec::new());
    let key = match places.as_slice() {
        [only] => bytes.get(only.clone()).and_then(envelope),
        _ => None,
    };
    match key {
        Some(key) => (records(bytes, vec![key.clone()]), Some(key)),
        None => (places, None),
    }
}

fn records(bytes: &[u8], envelope_keys: Vec<String>) -> Vec<std::ops::Range<usize>> {
    let mut cutter = Cutter::new(envelope_keys, RECORD_BYTES_MAX);
    let mut cuts = Vec::new();
    cutter.cut(bytes, true, &mut cuts);
    if cutter.shape() == Shape::Foreign {
        return Vec::new();
    }
    let record = |cut| match cut {
        Cut::Record(range) if bytes.get(range.start) == Some(&b'{') => Some(range),
        _ => None,
    };
    cuts.into_iter().filter_map(record).collect()
}

/// The only member of an object that is a list of objects.
fn envelope(object: &[u8]) -> Option<String> {
    let mut keys = Vec::new();
    each_member(object, &mut |key, value| {
        let (mut objects, mut others) = (0usize, 0usize);
        if let Value::List(list) = value {
            each_item(list, &mut |item| {
                objects += usize::from(matches!(item, Value::Object(_)));
                others += usize::from(!matches!(item, Value::Object(_)));
            });
        }
        // A key that holds control characters cannot stand in a file of content.
        if objects > 0 && others == 0 && !key.contains(char::is_control) {
            keys.push(key.into_owned());
        }
    });
    match keys.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// Whether no log type of the content takes the records for its own.
fn is_new(content: &Content, records: &[&[u8]]) -> Result<(), Error> {
    let source = MemorySource::new("records", records.join(&b'\n'));
    match super::survey(content, &source, None, None)?.by_log.first_key_value() {
        Some((log, count)) => Err(Error::Failed(format!(
            "{count} of the records are of the log type {log} already; `vigie logs gaps` says what its mapping does not read"
        ))),
        None => Ok(()),
    }
}

/// The files to write, by their paths in the folder of content.
fn files(
    content: &Content,
    log: &LogType,
    proposal: &Proposal,
    mapping: &Mapping,
    records: &[&[u8]],
) -> Result<Vec<(String, String)>, Error> {
    let vendor = format!("vendors/{}", log.product());
    let folder = format!("{vendor}/logs/{}", log.service());
    let mut files: Vec<(String, String)> =
        proposal.files.iter().map(|(name, text)| (format!("{folder}/{name}"), text.clone())).collect();
    if content.vendor(log.product(), "name").is_none() {
        let text = format!(
            "# {0}: name it, and say how people get its logs into a folder.\nformat = 1\nid = \"{0}\"\nname = \"{0}\"\nexport = \"\"\n",
            log.product(),
        );
        files.push((format!("{vendor}/vendor.toml"), text));
    }
    let programme = mapping.programme(&mut PathSet::new());
    let walk = Walk::compile(&[programme.paths()]);
    for (number, record) in proposal.samples.iter().filter_map(|place| records.get(*place)).enumerate() {
        let sample = format!("{:#}", parse(&String::from_utf8_lossy(record))?);
        let mut row = Row::new();
        walk.read(sample.as_bytes(), &mut row).map_err(|reject| Error::Failed(reject.to_string()))?;
        let mut document = parse(&programme.document(&walk.view(&row, 0)))?;
        if let Some(members) = document.as_object_mut() {
            members.remove("raw_data");
        }
        drop(row);
        files.push((format!("{folder}/expected/record_{}.json", number + 1), format!("{document:#}\n")));
        files.push((format!("{folder}/samples/record_{}.json", number + 1), sample + "\n"));
    }
    Ok(files)
}

fn parse(text: &str) -> Result<serde_json::Value, Error> {
    serde_json::from_str(text).map_err(|error| Error::Failed(format!("a record is no JSON: {error}")))
}

/// Says what was done, what was recognised, and what to look at.
fn told(
    root: &Path,
    from: &Path,
    files: &[(String, String)],
    proposal: &Proposal,
    mapping: &Mapping,
    records: &[&[u8]],
) -> Result<(), Error> {
    let programme = mapping.programme(&mut PathSet::new());
    let walk = Walk::compile(&[programme.paths()]);
    let (mut gaps, mut events) = (Gaps::default(), 0usize);
    for record in records {
        let mut row = Row::new();
        if walk.read(record, &mut row).is_ok() {
            let view = walk.view(&row, 0);
            events += usize::from(programme.shape(&view, &mut vigie_model::Event::default()));
            programme.note_gaps(&view, &mut gaps);
        }
    }
    for (name, _) in files {
        line(format_args!("wrote {}", root.join(name).display()))?;
    }
    line(format_args!("\nfrom {} records, of which {events} become events:", records.len()))?;
    for (to, path) in &proposal.recognised {
        line(format_args!("  {to:<28} {path}"))?;
    }
    for to in &proposal.missing {
        line(format_args!("  {to:<28} not found: give it a path in mapping.toml, if the records say it"))?;
    }
    let unread = super::share(gaps.values_unread, gaps.values);
    let (root, from) = (root.display(), from.display());
    line(format_args!(
        "\nto check:\n  \
         each line of mapping.toml against the vendor's reference; names and shapes of values were all that was known\n  \
         any_of in log.toml: no record of another log may have all of these paths\n  \
         verbs of operations.tsv, from content/verbs/verbs.toml; operations that the records did not show have no row\n  \
         samples: they are records as they came; replace names, addresses and ids before others see them\n\
         {unread} of the values are unmapped: vigie logs gaps {from} --content {root}\n\
         when all is right: vigie test {root}"
    ))
}
