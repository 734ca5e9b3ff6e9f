//! `vigie prove collection`: what was expected of each watched source, and what is here.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};
use vigie_model::{Ask, Cell, Collected, Ledger as _, QueryEngine as _, Question, Tenant, format_utc};
use vigie_pipeline::{Proof, prove};
use vigie_report::{Words as _, Zone};
use vigie_state::State;

use crate::arguments::{ProofFormat, ProveCommand};
use crate::content::Content;
use crate::error::Error;
use crate::output::line;
use crate::service::data::DataFolder;
use crate::service::rows::failed;
use crate::words::ContentWords;

/// What `hunt` ends with when it finds something: here, that something is missing.
const FLAWED: u8 = 3;
/// Files that cannot be read, named.
const FAILURES_NAMED_MAX: usize = 20;

pub(crate) fn run(command: &ProveCommand) -> Result<ExitCode, Error> {
    let ProveCommand::Collection(options) = command;
    let content = Content::load(options.content.as_deref())?;
    let words = ContentWords { texts: content.texts(options.lang.code())?, language: options.lang.language() };
    let format = content.digests()?.ok_or_else(|| Error::Failed("this content has no format of digests".to_owned()))?;
    let data = DataFolder::new(&options.data);
    let tenant = Tenant::default();
    let state = State::open(&data.state()).map_err(Error::Failed)?;
    let sources = state.sources(&tenant).map_err(Error::Failed)?;
    let held = held(&data, &content, &tenant, &sources)?;
    let (mut is_whole, mut told) = (true, Vec::new());
    for source in &sources {
        let files = state.files(&tenant, source).map_err(Error::Failed)?;
        let proof = prove(&format, &files);
        let held = held.get(source).copied().unwrap_or(0);
        let mut sentences = crate::proof::verdict(&proof, &format, &words);
        sentences.extend(crate::proof::sentences(&proof, &words, &Zone::utc()));
        is_whole &= proof.flaws.is_empty() && files.iter().all(|file| file.failure.is_none());
        match options.format {
            ProofFormat::Text => tell(source, &files, &proof, held, &sentences)?,
            ProofFormat::Json => told.push(machine(source, &files, &proof, held, &sentences)),
        }
    }
    match options.format {
        ProofFormat::Json => line(format_args!("{}", json!({ "format": 1, "is_whole": is_whole, "sources": told })))?,
        ProofFormat::Text if sources.is_empty() => line(format_args!("{}", words.label("prove.nothing", &[])))?,
        ProofFormat::Text => {}
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FLAWED) })
}

/// Events of each watched source that the lake holds, those in quarantine too.
fn held(data: &DataFolder, content: &Content, tenant: &Tenant, sources: &[String]) -> Result<BTreeMap<String, u64>, Error> {
    let lake = data.read_lake(content, tenant)?;
    let sql = "select source, count(*) from events where source like 'watch/%' group by source";
    let mut rows = lake.ask(&Question::new(tenant.clone(), Ask::Sql(sql.to_owned()))).map_err(failed)?;
    let mut held = BTreeMap::new();
    while let Some(rows) = rows.next().map_err(failed)? {
        for row in rows {
            if let [Cell::Text(source), Cell::Integer(count)] = row.as_slice() {
                let rest = source.trim_start_matches("watch/");
                // Names may hold slashes: the longest that fits.
                let name = sources.iter().filter(|name| rest.starts_with(&format!("{name}/"))).max_by_key(|name| name.len());
                if let Some(name) = name {
                    *held.entry(name.clone()).or_insert(0) += u64::try_from(*count).unwrap_or(0);
                }
            }
        }
    }
    Ok(held)
}

fn sum(files: &[Collected], count: impl Fn(&Collected) -> u64) -> u64 {
    files.iter().map(count).sum()
}

fn objects(files: &[Collected]) -> usize {
    files.iter().map(|file| &file.object).collect::<std::collections::BTreeSet<_>>().len()
}

fn tell(source: &str, files: &[Collected], proof: &Proof, held: u64, sentences: &[String]) -> Result<(), Error> {
    let (records, rejected) = (sum(files, |file| file.records), sum(files, |file| file.rejected));
    line(format_args!("{source}"))?;
    let objects = objects(files);
    line(format_args!("  {objects} objects, {records} records and {rejected} in quarantine; {held} events held"))?;
    for sentence in sentences {
        line(format_args!("  {sentence}"))?;
    }
    let failures: Vec<&Collected> = files.iter().filter(|file| file.failure.is_some()).collect();
    for file in failures.iter().take(FAILURES_NAMED_MAX) {
        line(format_args!("  {}: {}", vigie_report::printable(&file.file), file.failure.as_deref().unwrap_or_default()))?;
    }
    if failures.len() > FAILURES_NAMED_MAX {
        line(format_args!("  and {} more", failures.len() - FAILURES_NAMED_MAX))?;
    }
    if !proof.counts.is_empty() {
        line(format_args!("  {:<14} {:<16} {:<24} {:>13} {:>15}", "account", "region", "trail", "hours", "log files"))?;
    }
    for (chain, counts) in &proof.counts {
        let of = |here: u64, expected: u64| format!("{here}/{expected}");
        let (hours, logs) = (of(counts.digests, counts.digests_expected), of(counts.logs, counts.logs_expected));
        line(format_args!("  {:<14} {:<16} {:<24} {hours:>13} {logs:>15}", chain.account, chain.region, chain.trail))?;
    }
    Ok(())
}

fn machine(source: &str, files: &[Collected], proof: &Proof, held: u64, sentences: &[String]) -> Value {
    let chain = |(chain, counts): (&vigie_pipeline::ChainName, &vigie_pipeline::ChainCounts)| {
        let span = proof.chains.get(chain).copied().unwrap_or_default();
        json!({
            "account": chain.account, "region": chain.region, "trail": chain.trail, "is_backfill": chain.is_backfill,
            "from": format_utc(span.0), "until": format_utc(span.1),
            "digests_expected": counts.digests_expected, "digests": counts.digests,
            "logs_expected": counts.logs_expected, "logs": counts.logs,
        })
    };
    let failure = |file: &Collected| Some(json!({ "file": file.file, "why": file.failure.as_ref()? }));
    json!({
        "source": source,
        "objects": objects(files),
        "records": sum(files, |file| file.records),
        "rejected": sum(files, |file| file.rejected),
        "events_held": held,
        "is_whole": proof.is_whole(),
        "digests": proof.digests,
        "logs_verified": proof.logs_verified,
        "logs_unnamed": proof.logs_unnamed,
        "flaws": proof.flaws.len(),
        "chains": proof.counts.iter().map(chain).collect::<Vec<_>>(),
        "sentences": sentences,
        "failures": files.iter().filter_map(failure).collect::<Vec<_>>(),
    })
}
