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
        RuleCommand::Explain { rule, rules } => explain(&content, rule, rules),
        RuleCommand::New { name } => new(name),
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

fn new(name: &str) -> Result<ExitCode, Error> {
    let fits =
        !name.is_empty() && name.len() <= 60 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !fits {
        return Err(Error::Usage(format!("`{name}` is no rule name; use lower-case words joined by _")));
    }
    let title = name.replace('_', " ");
    let id = new_id(name);
    let rule = format!(
        "title: {title}\ntitle_fr: {title}\nid: {id}\nstatus: experimental\ndescription: What it finds, in one sentence.\nauthor: You\ntags:\n    - attack.persistence\n    - attack.t1098\nlogsource:\n    product: ocsf\ndetection:\n    selection:\n        verb: identity.credential.create\n        status_id: 1\n    condition: selection\nfalsepositives:\n    - Who does this rightly.\nlevel: medium\nresponse: What to do first.\nresponse_fr: \u{c0} faire d\u{2019}abord.\n"
    );
    let page = format!(
        "# {title}\n## What it means\n## Why attackers do it\n## False positives\n## Response\n## Samples\n```json fires \"what makes it fire\"\n{{}}\n```\n```patch silent \"the near miss\"\n{{}}\n```\n"
    );
    for (ending, text) in [("yml", rule), ("md", page)] {
        let path = std::path::PathBuf::from(format!("{name}.{ending}"));
        if path.exists() {
            return Err(Error::Usage(format!("`{}` exists; choose another name", path.display())));
        }
        std::fs::write(&path, text)?;
    }
    line(format_args!("wrote {name}.yml and {name}.md; fill in both, then run `vigie test .`"))?;
    Ok(ExitCode::SUCCESS)
}

/// A random-looking version 4 UUID from the name and the process; unique enough for a draft.
fn new_id(name: &str) -> String {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_nanos());
    let hex = vigie_model::finding_uid(&vigie_model::Tenant::default(), name, &[&seed.to_le_bytes()]);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
