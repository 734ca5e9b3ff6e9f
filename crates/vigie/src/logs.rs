//! `vigie logs`: the log types, what their mappings do not read, and new ones.

mod begin;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use vigie_connect::Folder;
use vigie_detect::RuleSet;
use vigie_model::LogType;
use vigie_normalise::{Gap, Gaps, Mapping};
use vigie_pipeline::{Documents, Hunt, Lanes, Outcome, Progress, RejectReason};

use crate::arguments::{GapsOptions, LogsCommand, LogsFormat, MapOptions};
use crate::content::Content;
use crate::error::{Error, PARTIAL};
use crate::output::{line, note};

/// Runs the command.
pub(crate) fn run(command: &LogsCommand) -> Result<ExitCode, Error> {
    match command {
        LogsCommand::List { content, format } => list(&Content::load(content.as_deref())?, *format),
        LogsCommand::Gaps(options) => gaps(options),
        LogsCommand::Map(options) => map(options),
        LogsCommand::New { from, id, write } => begin::run(from, id, write.as_deref()),
    }
}

fn list(content: &Content, format: LogsFormat) -> Result<ExitCode, Error> {
    let names: BTreeMap<u32, String> = content.classes().into_iter().map(|(name, number)| (number, name)).collect();
    let (mut logs, mut before) = (Vec::new(), String::new());
    for mapping in content.mappings()? {
        let product = mapping.log.product();
        let vendor = content.vendor(product, "name").unwrap_or_else(|| product.to_owned());
        let export = content.vendor(product, "export").unwrap_or_default();
        match format {
            LogsFormat::Json => logs.push(json!({
                "log": mapping.log.0, "title": mapping.title, "version": mapping.version, "vendor": vendor, "export": export,
                "classes": mapping.classes(), "any_class": mapping.is_classed_by_record(),
            })),
            LogsFormat::Text => {
                // How people get one of the vendor's logs: others lie elsewhere, as its own page says.
                if before != vendor {
                    line(format_args!("{vendor}, for example: {export}"))?;
                    before = vendor;
                }
                line(format_args!("  {:<26} {}", mapping.log.0, mapping.title))?;
                line(format_args!("  {:<26} {}", "", classes(&mapping, &names)))?;
            }
        }
    }
    if format == LogsFormat::Json {
        line(format_args!("{}", json!({ "logs": logs })))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The OCSF classes of a mapping, for people.
fn classes(mapping: &Mapping, names: &BTreeMap<u32, String>) -> String {
    if mapping.is_classed_by_record() {
        return "any class, as the record says".to_owned();
    }
    let name = |class: &u32| format!("{class} {}", names.get(class).map_or("", String::as_str));
    mapping.classes().iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Reads the records of a source by the mappings of the content, without rules: what is unread of them, and
/// their documents where these are wanted, in the order of the records.
pub(crate) fn survey(
    content: &Content,
    source: &dyn vigie_model::Source,
    log: Option<&str>,
    documents: Option<&Documents<'_>>,
) -> Result<Outcome, Error> {
    let (rules, _) = RuleSet::parse(&[], BTreeMap::new());
    let mut lanes = Lanes::mapped(&content.mappings()?, &rules);
    if let Some(name) = log {
        let known = LogType::parse(name).filter(|log| lanes.lanes.iter().any(|lane| lane.log == *log));
        let wanted = known.ok_or_else(|| {
            Error::Usage(format!("no log type `{name}` has a mapping; `vigie logs list` names those that have one"))
        })?;
        lanes.force(&wanted, &rules, &content.generic()?);
    }
    let (digests, progress) = (content.digests()?, Progress::default());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if documents.is_some() { 1 } else { cores };
    let of_source = Hunt::new(source, &lanes, &rules, &progress);
    let columnar = crate::columnar::reader();
    let hunt = Hunt { has_gaps: documents.is_none(), threads, documents, digests: digests.as_ref(), columnar, ..of_source };
    Ok(hunt.run(&mut |_, _| {})?)
}

fn gaps(options: &GapsOptions) -> Result<ExitCode, Error> {
    let content = Content::load(options.content.as_deref())?;
    let folder = Folder::find(&options.paths).map_err(Error::Usage)?;
    let outcome = survey(&content, &folder, options.log.as_deref(), None)?;
    match options.format {
        LogsFormat::Text => print(&outcome, options.top)?,
        LogsFormat::Json => line(format_args!("{}", document(&outcome, options.top)))?,
    }
    let is_partial = outcome.is_partial() || !folder.unreadable.is_empty();
    Ok(if is_partial { ExitCode::from(PARTIAL) } else { ExitCode::SUCCESS })
}

fn map(options: &MapOptions) -> Result<ExitCode, Error> {
    let content = Content::load(options.content.as_deref())?;
    let folder = Folder::find(&options.paths).map_err(Error::Usage)?;
    let print = |_: &str, _: &LogType, document: &str| writeln!(io::stdout().lock(), "{document}");
    let outcome = survey(&content, &folder, options.log.as_deref(), Some(&print))?;
    let lost = outcome.rejected();
    if lost > 0 {
        note(format_args!("{lost} records became no event; `vigie hunt` says why"));
    }
    let is_partial = outcome.is_partial() || !folder.unreadable.is_empty();
    Ok(if is_partial { ExitCode::from(PARTIAL) } else { ExitCode::SUCCESS })
}

/// Those that are most, and of equal ones in the order of their names.
fn most<K: Ord, T>(rows: impl Iterator<Item = (u64, K, T)>, top: usize) -> Vec<(u64, K, T)> {
    let mut rows: Vec<(u64, K, T)> = rows.collect();
    rows.sort_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
    rows.truncate(top);
    rows
}

/// Paths that are unread: those without a reason, then those of each reason, the most frequent first.
fn paths(gaps: &Gaps, top: usize) -> Vec<(&str, &Gap)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for gap in gaps.paths.values() {
        *counts.entry(gap.reason.as_deref().unwrap_or_default()).or_default() += gap.count;
    }
    let of_reason = |gap: &Gap| counts.get(gap.reason.as_deref().unwrap_or_default()).copied();
    let mut rows: Vec<(&str, &Gap)> = gaps.paths.iter().map(|(path, gap)| (path.as_str(), gap)).collect();
    let key = |gap: &Gap| (gap.reason.is_some(), Reverse(of_reason(gap)));
    rows.sort_by(|(path, gap), (other_path, other)| {
        (key(gap), &gap.reason, Reverse(gap.count), path).cmp(&(key(other), &other.reason, Reverse(other.count), other_path))
    });
    rows.truncate(top);
    rows
}

fn without_reason(gaps: &Gaps) -> usize {
    gaps.paths.values().filter(|gap| gap.reason.is_none()).count()
}

fn operations(gaps: &Gaps, top: usize) -> Vec<(u64, &(String, String), ())> {
    most(gaps.operations.iter().map(|(name, count)| (*count, name, ())), top)
}

/// Hundredths of a whole, as people read them.
fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 })
}

fn print(outcome: &Outcome, top: usize) -> Result<(), Error> {
    for (log, gaps) in &outcome.gaps {
        line(format_args!(
            "{log}: {} records; unmapped are {} of {} values, {} of their bytes",
            gaps.records,
            share(gaps.values_unread, gaps.values),
            gaps.values,
            share(gaps.bytes_unread, gaps.bytes),
        ))?;
        let without = without_reason(gaps);
        if without > 0 {
            line(format_args!("  {without} of {} paths have no reason written in `mapping.toml`:", gaps.paths.len()))?;
        }
        let named = paths(gaps, top);
        let mut told = None;
        for (path, Gap { count, example, reason }) in &named {
            // One reason often holds for several paths: it stands above them once.
            if let Some(reason) = reason.as_ref().filter(|reason| told != Some(*reason)) {
                line(format_args!("  {reason}"))?;
                told = Some(reason);
            }
            line(format_args!("{count:>10}  {:<48} {}", path.escape_debug().to_string(), example.escape_debug()))?;
        }
        more(gaps.paths.len() - named.len(), "paths")?;
        let named = operations(gaps, top);
        let (with, without) = (gaps.operations_named.len(), gaps.operations.len());
        if with + without > 0 {
            let ending = if without > 0 { "; without:" } else { "" };
            line(format_args!("  {with} of {} operations that may change something have a row{ending}", with + without))?;
        }
        for (count, (service, operation), ()) in &named {
            let service = if service == operation { String::new() } else { format!("{} ", service.escape_debug()) };
            line(format_args!("{count:>10}  {service}{}", operation.escape_debug()))?;
        }
        more(gaps.operations.len() - named.len(), "operations")?;
        line(format_args!(""))?;
    }
    let unknown = outcome.rejects.get(&RejectReason::Unrecognised).copied().unwrap_or(0);
    if unknown > 0 {
        line(format_args!("{unknown} records are of no known log type: `vigie logs new` begins one"))?;
    }
    let unread = outcome.rejected() - unknown;
    if unread > 0 {
        line(format_args!("{unread} records could not be read; `vigie hunt` says why"))?;
    }
    if outcome.gaps.is_empty() && unknown + unread == 0 {
        line(format_args!("no records were found in {} files", outcome.files))?;
    }
    Ok(())
}

fn more(count: usize, what: &str) -> Result<(), Error> {
    if count == 0 { Ok(()) } else { line(format_args!("{:>10}  and {count} more {what}", "")) }
}

/// The same for programs.
fn document(outcome: &Outcome, top: usize) -> Value {
    let log = |(log, gaps): (&String, &Gaps)| {
        let paths = paths(gaps, top);
        let operations = operations(gaps, top);
        let path = |(path, gap): &(&str, &Gap)| json!({ "path": path, "count": gap.count, "example": gap.example, "reason": gap.reason });
        let operation = |(count, (service, operation), ()): &(u64, &(String, String), ())| json!({ "service": service, "operation": operation, "count": count });
        json!({
            "log": log, "records": gaps.records, "values": gaps.values, "values_unmapped": gaps.values_unread,
            "bytes": gaps.bytes, "bytes_unmapped": gaps.bytes_unread,
            "paths": paths.iter().map(path).collect::<Vec<_>>(), "paths_more": gaps.paths.len() - paths.len(),
            "paths_without_reason": without_reason(gaps),
            "values_unnamed": gaps.values_unnamed,
            "operations": operations.iter().map(operation).collect::<Vec<_>>(),
            "operations_with_row": gaps.operations_named.len(),
            "operations_more": gaps.operations.len() - operations.len(), "operations_unnamed": gaps.operations_unnamed,
        })
    };
    let unknown = outcome.rejects.get(&RejectReason::Unrecognised).copied().unwrap_or(0);
    json!({
        "logs": outcome.gaps.iter().map(log).collect::<Vec<_>>(), "unrecognised": unknown,
        "unreadable": outcome.rejected() - unknown,
    })
}
