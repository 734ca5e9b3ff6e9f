//! `vigie hunt`: what happened in files and folders of cloud logs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vigie_connect::Folder;
use vigie_detect::RuleSet;
use vigie_estate::{Chain, Chains};
use vigie_model::{Finding, LogType, Millis, RuleFacts, Severity, Source, Tenant, parse_instant};
use vigie_pipeline::{Hunt, Lane, Lanes, Outcome, Progress, RejectReason};
use vigie_report::{Facts, StoryBuilder, Words as _};

use crate::arguments::{Format, HuntOptions, Lang, Level};
use crate::content::{Content, user_rules};
use crate::error::{Error, FOUND, PARTIAL};
use crate::output::note;
use crate::words::{ContentWords, zone};

/// Everything a run needs before it reads.
pub(crate) struct Setup {
    pub(crate) rules: RuleSet,
    pub(crate) lanes: Lanes,
    digests: Option<vigie_pipeline::DigestFormat>,
}

/// Runs the command.
pub(crate) fn run(options: &HuntOptions) -> Result<ExitCode, Error> {
    let content = Content::load(options.content.as_deref())?;
    let setup = set_up(&content, options)?;
    let folder = Folder::find(&options.paths).map_err(Error::Usage)?;
    let minimum = severity(options.min_level);
    let mut sink = Sink::new(options)?;
    let mut story = StoryBuilder::default();
    let tenant = Tenant::default();
    let mut failure = Ok(());
    let facts = setup.rules.facts().to_vec();
    let words = ContentWords { texts: content.texts(options.lang.code())?, language: options.lang.language() };
    let outcome = hunt(options, &setup, &folder, &words, &tenant, &mut |finding, chains| {
        let Some(rule) = facts.get(finding.rule as usize) else {
            return;
        };
        let chain = chain_of(finding, &setup.lanes, chains);
        if rule.severity >= minimum && failure.is_ok() {
            failure = sink.finding(finding, rule, &chain, &tenant);
        }
        if matches!(options.format, Format::Text | Format::Html) && rule.severity >= minimum {
            story.add(finding, rule, &chain);
        }
    })?;
    failure?;
    if let Some(event) = &options.explain {
        return crate::explain::print(event, &setup, &outcome.explained, &words);
    }
    if matches!(options.format, Format::Text | Format::Html) {
        let zone = zone(&options.tz, outcome.span)?;
        let mut about = run_facts(options, &setup, &folder, &outcome, &words);
        if let (Some(proof), Some(format)) = (&outcome.proof, &setup.digests) {
            about.gaps.splice(0..0, crate::proof::sentences(proof, &words, &zone));
            about.proof = crate::proof::verdict(proof, format, &words);
        }
        let story = story.finish(facts.clone(), about);
        let activity = |name: &str| outcome.activity(name).map(|seen| (seen.events, seen.refused, seen.first, seen.last));
        let page = if options.format == Format::Html { vigie_report::html } else { vigie_report::text };
        sink.write(&page(&story, &words, &zone, &activity))?;
        if outcome.events == 0 && options.format == Format::Text {
            sink.write(&nothing_read(&content, &folder, &outcome, &words))?;
        }
    }
    sink.finish()?;
    summary(options, &outcome, &words);
    let found = outcome
        .by_rule
        .iter()
        .any(|(rule, count)| *count > 0 && facts.get(*rule as usize).is_some_and(|facts| facts.severity >= minimum));
    let is_partial = outcome.is_partial() || !folder.unreadable.is_empty();
    Ok(match (is_partial, found) {
        (true, _) => ExitCode::from(PARTIAL),
        (false, true) => ExitCode::from(FOUND),
        (false, false) => ExitCode::SUCCESS,
    })
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Informational => Severity::Informational,
        Level::Low => Severity::Low,
        Level::Medium => Severity::Medium,
        Level::High => Severity::High,
        Level::Critical => Severity::Critical,
    }
}

/// Who stands behind the event of a finding.
fn chain_of(finding: &Finding, lanes: &Lanes, chains: &Chains) -> Chain {
    chains.resolve(&lanes.principal(&finding.event), finding.event.occurred)
}

/// Loads rules and lanes; a rule that cannot run is said on the terminal and the run goes on when it
/// is one of ours, and stops when the user gave it.
fn set_up(content: &Content, options: &HuntOptions) -> Result<Setup, Error> {
    let mut sources = if options.no_builtin { content.rules_laid_over() } else { content.rules() };
    sources.extend(user_rules(&options.rules)?);
    let (rules, errors) = RuleSet::parse(&sources, content.classes());
    if let Some(first) = errors.first() {
        let rest = if errors.len() > 1 {
            format!(" (and {} more; `vigie rule lint` names them all)", errors.len() - 1)
        } else {
            String::new()
        };
        return Err(Error::Failed(format!("{first}{rest}")));
    }
    let mappings = content.mappings()?;
    let loaded = crate::enrichments::load(content, options.enrichments.as_deref())?;
    if options.enrichments.is_some() {
        note(format_args!("tables: {}", loaded.summary()));
    }
    loaded.faults.iter().for_each(|fault| note(format_args!("vigie: {fault}")));
    let mut lanes = Lanes::enriched(&mappings, &rules, &loaded.enrichments);
    if let Some(name) = &options.log {
        let log = LogType::parse(name).ok_or_else(|| Error::Usage(format!("`{name}` is no log type; write product/service")))?;
        lanes.force(&log, &rules, &content.generic()?);
    }
    Ok(Setup { rules, lanes, digests: content.digests()? })
}

fn hunt(
    options: &HuntOptions,
    setup: &Setup,
    folder: &Folder,
    words: &ContentWords,
    tenant: &Tenant,
    report: &mut dyn FnMut(&Finding, &Chains),
) -> Result<Outcome, Error> {
    let progress = Progress::default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let hunt = Hunt {
        source: folder,
        lanes: &setup.lanes,
        rules: &setup.rules,
        tenant: tenant.clone(),
        since: options.since.as_deref().map(instant).transpose()?,
        until: options.until.as_deref().map(instant).transpose()?,
        threads: options.threads.unwrap_or(cores).clamp(1, 256),
        spill_bytes: options.spill_kib.max(1) * 1024,
        explain: options.explain.clone(),
        documents: None,
        has_gaps: false,
        digests: setup.digests.as_ref(),
        columnar: crate::columnar::reader(),
        progress: &progress,
    };
    if !io::stderr().is_terminal() {
        return Ok(hunt.run(report)?);
    }
    let done = AtomicBool::new(false);
    let total: u64 = folder.objects().iter().filter_map(|object| object.bytes).sum();
    std::thread::scope(|scope| {
        scope.spawn(|| show_progress(&progress, total, words, &done));
        let outcome = hunt.run(report);
        done.store(true, Ordering::Relaxed);
        Ok(outcome?)
    })
}

/// Rate and time left on the terminal, four times a second.
fn show_progress(progress: &Progress, total: u64, words: &ContentWords, done: &AtomicBool) {
    let start = Instant::now();
    while !done.load(Ordering::Relaxed) {
        std::thread::park_timeout(Duration::from_millis(250));
        let stored = progress.stored_bytes.load(Ordering::Relaxed);
        let plain = progress.bytes.load(Ordering::Relaxed);
        let seconds = start.elapsed().as_secs_f64();
        let left = if stored > 0 { (total.saturating_sub(stored)) as f64 * seconds / stored as f64 } else { 0.0 };
        let line = words.label(
            "run.progress",
            &[
                ("files", &progress.objects.load(Ordering::Relaxed).to_string()),
                ("megabytes", &format!("{:.0}", plain as f64 / 1e6)),
                ("rate", &format!("{:.0}", plain as f64 / 1e6 / seconds.max(0.001))),
                ("left", &format!("{left:.0}")),
            ],
        );
        let _ = write!(io::stderr(), "\r{line}   ");
    }
    let _ = write!(io::stderr(), "\r{:80}\r", "");
}

/// Reads an instant of the command line: RFC 3339 or a date, UTC.
fn instant(text: &str) -> Result<Millis, Error> {
    parse_instant(text).ok_or_else(|| Error::Usage(format!("`{text}` is no time; write 2026-11-12 or 2026-11-12T01:52:00Z")))
}

/// Where output goes, in its format.
struct Sink {
    out: BufWriter<Box<dyn Write>>,
    format: Format,
    language: vigie_report::Language,
}

impl Sink {
    fn new(options: &HuntOptions) -> Result<Sink, Error> {
        let out: Box<dyn Write> = match &options.out {
            Some(path) => Box::new(File::create(path).map_err(|error| Error::Failed(format!("`{}`: {error}", path.display())))?),
            None => Box::new(io::stdout()),
        };
        let mut sink = Sink { out: BufWriter::new(out), format: options.format, language: options.lang.language() };
        if options.format == Format::Csv {
            sink.write(vigie_report::csv_header())?;
        }
        Ok(sink)
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn finding(&mut self, finding: &Finding, rule: &RuleFacts, chain: &Chain, tenant: &Tenant) -> Result<(), Error> {
        match self.format {
            Format::Ndjson => {
                let line = vigie_report::detection_finding(finding, rule, chain, &tenant.0, env!("CARGO_PKG_VERSION"));
                self.write(&line)?;
                self.write("\n")
            }
            Format::Csv => self.write(&vigie_report::csv_line(finding, rule, chain, self.language)),
            Format::Text | Format::Html => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), Error> {
        Ok(self.out.flush()?)
    }
}

/// What the report says about the run.
fn run_facts(options: &HuntOptions, setup: &Setup, folder: &Folder, outcome: &Outcome, words: &ContentWords) -> Facts {
    let title = |rule: u32| {
        setup.rules.facts().get(rule as usize).map(|facts| words.language.title(facts).to_owned()).unwrap_or_default()
    };
    let lane_title =
        |log: &String| setup.lanes.lanes.iter().find(|lane| lane.log.0 == *log).map_or(log.clone(), |lane| lane.title.clone());
    let seen = |lane: &&Lane| outcome.by_log.contains_key(&lane.log.0);
    let lanes: Vec<&Lane> = setup.lanes.lanes.iter().filter(seen).collect();
    let told = |(name, why): &(String, String)| (name.clone(), words.reason(why));
    let broken_files = outcome.broken_files.iter().chain(&folder.unreadable).map(told).collect();
    let reason = |reason: &RejectReason| match reason {
        RejectReason::Malformed => "unread.malformed",
        RejectReason::Oversize => "unread.oversize",
        RejectReason::Unrecognised => "unread.unrecognised",
        RejectReason::Timeless => "unread.timeless",
    };
    let sample = |reject: &vigie_pipeline::Reject| {
        let (offset, why) = (reject.offset.to_string(), words.reason(&reject.detail));
        words.label("unread.sample", &[("file", &reject.file), ("offset", &offset), ("why", &why)])
    };
    let rules: BTreeSet<u32> = lanes.iter().flat_map(|lane| lane.rules()).collect();
    let blind = setup.lanes.blind_rules(&setup.rules).into_iter().filter(|(rule, _)| rules.contains(rule));
    Facts {
        files: outcome.files,
        events: outcome.events,
        duplicates: outcome.duplicates,
        conflicts: outcome.conflicts,
        duplicate_keys: outcome.duplicate_keys,
        span: outcome.span,
        logs: outcome.by_log.iter().map(|(log, count)| (lane_title(log), *count)).collect(),
        rejects: outcome.rejects.iter().map(|(why, count)| (reason(why).to_owned(), *count)).collect(),
        reject_samples: outcome.reject_samples.iter().map(sample).collect(),
        broken_files,
        foreign_files: outcome.foreign_files.iter().map(told).collect(),
        rules: rules.len() as u64,
        blind_rules: blind.map(|(rule, path)| (title(rule), path)).collect(),
        silenced: outcome.silenced.iter().map(|(filter, count)| (title(*filter), *count)).collect(),
        paths: match options.lang {
            Lang::En => options.paths.join(" "),
            Lang::Fr => format!("{} --lang fr", options.paths.join(" ")),
        },
        gaps: limits_met(outcome, words),
        proof: Vec::new(),
        accounts: outcome.accounts.iter().cloned().collect(),
    }
}

/// What a hunt did not keep in mind, since it was too much.
fn limits_met(outcome: &Outcome, words: &ContentWords) -> Vec<String> {
    let limits = [("limit.events_forgotten", outcome.events_forgotten), ("limit.links_left_out", outcome.links_left_out)];
    let met = limits.into_iter().filter(|(_, count)| *count > 0);
    met.map(|(key, count)| words.label(key, &[("count", &words.language.number(count))])).collect()
}

/// What to do when nothing was read: what was seen, and how to get logs.
fn nothing_read(content: &Content, folder: &Folder, outcome: &Outcome, words: &ContentWords) -> String {
    let mut lines = vec![words.label("nothing.found", &[("count", &folder.objects().len().to_string())])];
    let pair = |name: &str, text: &str| words.label("nothing.line", &[("name", name), ("text", text)]);
    lines.extend(outcome.foreign_files.iter().take(5).map(|(name, guess)| pair(name, &words.reason(guess))));
    lines.push(String::new());
    lines.push(words.label("nothing.exports", &[]));
    for export in content.exports() {
        lines.push(pair(&export.name, &export.command));
        lines.extend(export.native_log.map(|log| words.label("nothing.unmapped", &[("log", &log)])));
    }
    lines.push(words.label("nothing.native", &[]));
    lines.push(String::new());
    lines.join("\n")
}

/// One line on the terminal about the run.
fn summary(options: &HuntOptions, outcome: &Outcome, words: &ContentWords) {
    if options.format == Format::Text && options.out.is_none() {
        return;
    }
    let place = |path: &std::path::PathBuf| words.label("run.place", &[("file", &path.display().to_string())]);
    let spilled = match outcome.spilled_bytes {
        0 => String::new(),
        bytes => words.label("run.spilled", &[("bytes", &bytes.to_string())]),
    };
    let line = words.label(
        "run.done",
        &[
            ("events", &outcome.events.to_string()),
            ("findings", &outcome.findings().to_string()),
            ("unread", &outcome.rejected().to_string()),
            ("spilled", &spilled),
            ("place", &options.out.as_ref().map(place).unwrap_or_default()),
        ],
    );
    note(format_args!("{line}"));
}
