//! `vigie rule`: check, explain, list and begin rules.

use std::process::ExitCode;

use vigie_detect::{RuleSet, RuleState};

use crate::arguments::RuleCommand;
use crate::content::{Content, user_rules};
use crate::error::{Error, FOUND};
use crate::output::line;

/// Runs the command.
pub(crate) fn run(command: &RuleCommand) -> Result<ExitCode, Error> {
    let content = Content::embedded();
    match command {
        RuleCommand::Lint { paths } => lint(&content, paths),
        RuleCommand::List { rules } => list(&content, rules),
        RuleCommand::Explain { rule, rules } => explain(&Content::proven()?, rule, rules),
        RuleCommand::Matrix(options) => crate::matrix::run(options),
        RuleCommand::New { name, provider } => new(&content, name, provider),
    }
}

fn lint(content: &Content, paths: &[std::path::PathBuf]) -> Result<ExitCode, Error> {
    let sources = user_rules(paths)?;
    let files = sources.len();
    let (set, errors) = RuleSet::parse(&sources, content.classes());
    for error in &errors {
        line(format_args!("{error}"))?;
    }
    let mut inactive = 0;
    for (number, facts) in set.facts().iter().enumerate() {
        if let Some(RuleState::Inactive(why)) = set.state(u32::try_from(number).unwrap_or(u32::MAX)) {
            line(format_args!("{}: inactive: {why}", facts.place))?;
            inactive += 1;
        }
    }
    line(format_args!("{} rules in {files} files: {} errors, {inactive} inactive", set.facts().len(), errors.len()))?;
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn load(content: &Content, paths: &[std::path::PathBuf]) -> Result<RuleSet, Error> {
    let mut sources = content.rules();
    sources.extend(user_rules(paths)?);
    Ok(RuleSet::parse(&sources, content.classes()).0)
}

fn list(content: &Content, paths: &[std::path::PathBuf]) -> Result<ExitCode, Error> {
    let set = load(content, paths)?;
    for (number, facts) in set.facts().iter().enumerate() {
        let state = match set.state(u32::try_from(number).unwrap_or(u32::MAX)) {
            Some(RuleState::Live) => continue_word(facts.is_correlation),
            Some(RuleState::Base) => "base",
            Some(RuleState::Inactive(_)) => "inactive",
            Some(RuleState::Filter) | None => "filter",
        };
        line(format_args!(
            "{:<13} {:<11} {}  {} [{}]",
            facts.severity.word(),
            state,
            facts.id,
            facts.title,
            facts.techniques.join(" ")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn continue_word(is_correlation: bool) -> &'static str {
    if is_correlation { "correlation" } else { "rule" }
}

fn explain(content: &Content, name: &str, paths: &[std::path::PathBuf]) -> Result<ExitCode, Error> {
    let set = load(content, paths)?;
    let fits = |facts: &&vigie_model::RuleFacts| {
        let stem = facts.place.rsplit('/').next().unwrap_or_default().trim_end_matches(".yml");
        facts.id == name || facts.title.eq_ignore_ascii_case(name) || stem == name.trim_end_matches(".yml")
    };
    let Some(facts) = set.facts().iter().rfind(fits) else {
        return Err(Error::Failed(format!("no rule is called `{name}`; `vigie rule list` names them all")));
    };
    line(format_args!(
        "{}\n{} / {}\nid {}\nwritten by {}\nfile {}",
        facts.title,
        facts.title_fr,
        facts.severity.word(),
        facts.id,
        facts.author,
        facts.place
    ))?;
    line(format_args!("techniques {}\ntactics {}", facts.techniques.join(" "), facts.tactics.join(" ")))?;
    if let Some(text) = content.files.get(&facts.place) {
        line(format_args!("\n{text}"))?;
    }
    if let Some(page) = content.files.get(&facts.place.replace(".yml", ".md")) {
        line(format_args!("{page}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The place of samples in a page, to fill in.
const SAMPLES: &str = "## Samples\n```json fires \"what makes it fire\"\n{}\n```\n```patch silent \"the near miss\"\n{}\n```\n";
/// What stands before the samples in the page of a rule.
const PAGE: &str = "## What it means\n## Why attackers do it\n## False positives\n## Response\n";

fn new(content: &Content, name: &str, providers: &[String]) -> Result<ExitCode, Error> {
    let is_name = |name: &str| {
        !name.is_empty() && name.len() <= 60 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if !is_name(name) {
        return Err(Error::Usage(format!("`{name}` is no rule name; use lower-case words joined by _")));
    }
    if let Some(wrong) = providers.iter().find(|provider| !is_name(&provider.replace('-', "_"))) {
        return Err(Error::Usage(format!("`{wrong}` is no provider; write the name of a folder of content/vendors")));
    }
    let title = name.replace('_', " ");
    let id = new_id(name);
    let claims =
        if providers.is_empty() { String::new() } else { format!("vigie:\n    providers: [{}]\n", providers.join(", ")) };
    let rule = format!(
        "title: {title}\ntitle_fr: {title}\nid: {id}\nstatus: experimental\ndescription: What it finds, in one sentence.\nauthor: You\ntags:\n    - attack.persistence\n    - attack.t1098\nlogsource:\n    product: ocsf\n{claims}detection:\n    selection:\n        verb: identity.credential.create\n        status_id: 1\n    condition: selection\nfalsepositives:\n    - Who does this rightly.\nlevel: medium\nresponse: What to do first.\nresponse_fr: \u{c0} faire d\u{2019}abord.\n"
    );
    let samples = if providers.is_empty() { SAMPLES } else { "" };
    let mut files = vec![(format!("{name}.yml"), rule), (format!("{name}.md"), format!("# {title}\n{PAGE}{samples}"))];
    files.extend(providers.iter().map(|provider| (format!("{name}.{provider}.md"), format!("# {title}: {provider}\n{SAMPLES}"))));
    if let Some((taken, _)) = files.iter().find(|(file, _)| std::path::Path::new(file).exists()) {
        return Err(Error::Usage(format!("`{taken}` exists; choose another name")));
    }
    for (file, text) in &files {
        std::fs::write(file, text)?;
    }
    let names: Vec<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
    line(format_args!("wrote {}; fill them in, then run `vigie test .`", names.join(", ")))?;
    let others: std::collections::BTreeSet<String> =
        content.mappings()?.iter().map(|mapping| mapping.log.product().to_owned()).collect();
    let proposed: Vec<String> =
        others.iter().filter(|known| !providers.contains(known)).map(|known| format!("{name}.{known}.md")).collect();
    if !proposed.is_empty() {
        line(format_args!(
            "to claim a provider, list it under `vigie: providers` and give its samples a page: {}",
            proposed.join(", ")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A random-looking version 4 UUID from the name and the process; unique enough for a draft.
fn new_id(name: &str) -> String {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_nanos());
    let hex = vigie_model::finding_uid(&vigie_model::Tenant::default(), name, &[&seed.to_le_bytes()]);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
