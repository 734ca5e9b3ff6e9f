//! The story for a terminal: at most 60 lines of 100 columns, plain characters only.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use vigie_estate::Step;
use vigie_model::{LinkKind, Principal, RuleFacts, Severity, Sureness};

use crate::escape::printable;
use crate::story::{Blind, Line, Story, Thread, behind_of, name_of, principal_of, short, sure_key};
use crate::words::{Words, Zone};

/// Widest line, in characters.
const COLUMNS_MAX: usize = 100;
/// Widest name of a tactic beside a step.
const TACTIC_COLUMNS_MAX: usize = 23;
/// Longest story, in lines.
const LINES_MAX: usize = 60;
/// Steps shown of one thread.
const STEPS_MAX: usize = 18;
/// Credentials shown that the lead of a thread came to.
const THROUGH_MAX: usize = 4;
/// One minute, in milliseconds.
const MINUTE: i64 = 60_000;
/// Rules counted by name.
const RULES_MAX: usize = 6;
/// Lines of the counts beside those of rules.
const COUNTS_LINES: usize = 5;
/// Threads told in full.
const THREADS_TOLD_MAX: usize = 2;
/// Other threads that get one line.
const THREADS_NAMED_MAX: usize = 6;

/// What an actor did in all, as the caller counted it: events, refused, first and last instant.
pub type ActivityOf<'a> = dyn Fn(&str) -> Option<(u64, u64, i64, i64)> + 'a;

/// Writes the story; every line ends with a line feed.
pub fn text(story: &Story, words: &dyn Words, zone: &Zone, activity: &ActivityOf<'_>) -> String {
    let mut page = Page { lines: Vec::new() };
    head(&mut page, story, words, zone);
    let told = story.threads.iter().filter(|thread| thread.severity >= Severity::Medium).take(THREADS_TOLD_MAX).count();
    for thread in story.threads.iter().take(told) {
        page.blank();
        tell(&mut page, thread, &story.rules, words, zone, activity);
    }
    others(&mut page, story, told, words, zone);
    unseen(&mut page, story, words, zone);
    let mut tail = Page { lines: Vec::new() };
    unread(&mut tail, story, words);
    next(&mut tail, story, words);
    // What to do next is told in any case: counts take the room that is left.
    let used = page.lines.len() + tail.lines.len() + COUNTS_LINES;
    counts(&mut page, story, words, LINES_MAX.saturating_sub(used).clamp(1, RULES_MAX));
    page.lines.truncate(LINES_MAX.saturating_sub(tail.lines.len()));
    page.lines.append(&mut tail.lines);
    page.finish()
}

struct Page {
    lines: Vec<String>,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.lines.push(clip(&printable(text), COLUMNS_MAX));
    }

    /// A line that may go on below, set in as far as `indent`; two lines at most.
    fn wrap(&mut self, text: &str, indent: usize) {
        let text = printable(text);
        if text.chars().count() <= COLUMNS_MAX {
            self.lines.push(text);
            return;
        }
        let head: String = text.chars().take(COLUMNS_MAX).collect();
        let cut = head.rfind(' ').filter(|at| *at > COLUMNS_MAX / 2).unwrap_or(head.len());
        let (head, tail) = text.split_at(cut);
        self.lines.push(head.to_owned());
        self.lines.push(clip(&format!("{:indent$}{}", "", tail.trim_start()), COLUMNS_MAX));
    }

    /// A command, whole however long: a part of one is of no use.
    fn command(&mut self, text: &str) {
        self.lines.push(printable(&format!("  {text}")));
    }

    fn blank(&mut self) {
        self.lines.push(String::new());
    }

    fn title(&mut self, text: &str) {
        self.blank();
        self.line(text);
    }

    fn finish(mut self) -> String {
        self.lines.truncate(LINES_MAX);
        let mut out = String::new();
        for line in self.lines {
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }
}

/// Cuts a text to a width, saying so.
pub(crate) fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('\u{2026}');
    out
}

/// An id cut in the middle: the end is what differs.
pub(crate) fn middle(id: &str) -> String {
    let length = id.chars().count();
    if length <= 14 || id.contains(['/', ' ', '@', '.']) {
        return id.to_owned();
    }
    let head: String = id.chars().take(4).collect();
    let tail: String = id.chars().skip(length - 4).collect();
    format!("{head}\u{2026}{tail}")
}

pub(crate) fn title_of<'r>(rule: &'r RuleFacts, words: &dyn Words) -> &'r str {
    words.language().title(rule)
}

pub(crate) fn number(count: u64, words: &dyn Words) -> String {
    words.language().number(count)
}

fn head(page: &mut Page, story: &Story, words: &dyn Words, zone: &Zone) {
    let facts = &story.facts;
    let logs: Vec<String> = facts.logs.iter().map(|(log, _)| log.clone()).collect();
    let (from, to) = facts.span.map_or((String::new(), String::new()), |(from, to)| (zone.minute(from), zone.minute(to)));
    let serious = story.threads.iter().filter(|thread| thread.severity >= Severity::Medium).count() as u64;
    let key = match (facts.events, story.findings, serious) {
        (0, ..) => "head.nothing",
        (_, 0, _) => "head.quiet",
        (_, _, 0) => "head.minor",
        (_, _, 1) => "head.one",
        _ => "head.many",
    };
    let found = words.label(
        key,
        &[
            ("threads", &number(serious, words)),
            ("findings", &number(story.findings, words)),
            ("events", &number(facts.events, words)),
            ("logs", &logs.join(", ")),
            ("files", &number(facts.files, words)),
        ],
    );
    page.wrap(&found, 2);
    if facts.events > 0 {
        page.line(&words.label(
            "head.span",
            &[
                ("from", &from),
                ("to", &to),
                ("zone", &zone.name),
                ("files", &number(facts.files, words)),
                ("duplicates", &number(facts.duplicates, words)),
                ("rules", &number(facts.rules, words)),
            ],
        ));
    }
}

pub(crate) fn credential(principal: &Principal, words: &dyn Words) -> String {
    let name = short(&name_of(principal)).to_owned();
    if principal.credential.is_empty() {
        return name;
    }
    words.label("who.key", &[("key", &middle(&principal.credential)), ("name", &name)])
}

fn tell(page: &mut Page, thread: &Thread, rules: &[RuleFacts], words: &dyn Words, zone: &Zone, activity: &ActivityOf<'_>) {
    let severity = words.severity(thread.severity.word()).to_uppercase();
    page.line(&words.label(
        "thread.head",
        &[
            ("severity", &severity),
            ("who", &credential(&thread.lead, words)),
            ("findings", &number(thread.findings, words)),
            ("rules", &number(thread.rules.len() as u64, words)),
        ],
    ));
    who(page, thread, words, zone);
    let addresses: Vec<String> = thread.addresses.keys().take(3).map(|address| thread.origin_of(address)).collect();
    let more = thread.addresses.len().saturating_sub(addresses.len());
    let mut from = addresses.join(", ");
    if more > 0 {
        from.push_str(&words.label("more", &[("count", &more.to_string())]));
    }
    let agent = thread.user_agents.iter().max_by_key(|(_, count)| **count).map(|(agent, _)| clip(agent, 40)).unwrap_or_default();
    page.line(&words.label("thread.from", &[("addresses", &from), ("agent", &agent)]));
    did(page, thread, words, zone, activity);
    if !thread.peers.is_empty() {
        let peers: Vec<String> = thread.peers.iter().take(4).map(|peer| short(peer).to_owned()).collect();
        page.line(&words.label("thread.peers", &[("peers", &peers.join(", "))]));
    }
    steps(page, thread, rules, words, zone);
}

fn who(page: &mut Page, thread: &Thread, words: &dyn Words, zone: &Zone) {
    match behind_of(thread) {
        None => page.line(&words.label("who.unknown", &[("who", short(&name_of(&thread.lead)))])),
        Some(behind) => {
            let key = match behind.step.kind {
                LinkKind::Same => "who.same",
                _ if behind.via.is_empty() => "who.behind",
                _ => "who.behind_via",
            };
            let time = zone.minute(behind.step.occurred);
            let values = [("person", short(&behind.person)), ("time", time.as_str()), ("via", behind.via)];
            let text = words.label(key, &values);
            page.wrap(&format!("{text}{}", proof(behind.step, words)), 10);
        }
    }
    let told = told(thread);
    for (principal, step) in &told {
        let key = match step.kind {
            LinkKind::Created => "who.made",
            LinkKind::Assumed => "who.assumed",
            LinkKind::Acted => "who.acted",
            LinkKind::Same => "who.name",
        };
        let text = words.label(key, &[("who", &credential(principal, words)), ("time", &zone.clock(step.occurred))]);
        page.line(&format!("{text}{}", proof(step, words)));
    }
    let hidden = thread.through.len() - told.len();
    if hidden > 0 {
        page.line(&words.label("who.more", &[("count", &hidden.to_string())]));
    }
}

/// The event that proves a link; where it is no credential's id that does, how sure it is.
fn proof(step: &Step, words: &dyn Words) -> String {
    let how = match step.sure {
        Sureness::Credential => String::new(),
        Sureness::Subject | Sureness::Email => words.label(sure_key(step), &[]),
    };
    words.label("who.proof", &[("how", &how), ("event", &step.event_uid)])
}

/// What the lead came to that is told: what the first event of each log proves, then the first of the
/// others; in the order of time.
fn told(thread: &Thread) -> Vec<&(Principal, Step)> {
    let through = &thread.through;
    let mut logs = BTreeSet::new();
    let (mut told, mut rest) = (Vec::new(), Vec::new());
    for pair in through {
        let is_first = pair.1.kind != LinkKind::Same && logs.insert(pair.1.log.as_str());
        if is_first { told.push(pair) } else { rest.push(pair) }
    }
    // Names of one identity say least.
    rest.sort_by_key(|(_, step)| step.kind == LinkKind::Same);
    told.extend(rest);
    told.truncate(THROUGH_MAX);
    told.sort_by_key(|(_, step)| step.occurred);
    told
}

fn did(page: &mut Page, thread: &Thread, words: &dyn Words, zone: &Zone, activity: &ActivityOf<'_>) {
    let mut all = (0u64, 0u64, i64::MAX, i64::MIN);
    for seen in thread.credentials.iter().filter_map(|name| activity(name)) {
        all = (all.0 + seen.0, all.1 + seen.1, all.2.min(seen.2), all.3.max(seen.3));
    }
    if all.0 == 0 {
        return;
    }
    let accounts: Vec<&str> = thread.accounts.iter().map(String::as_str).take(4).collect();
    page.line(&words.label(
        "thread.did",
        &[
            ("events", &number(all.0, words)),
            ("refused", &number(all.1, words)),
            ("from", &zone.minute(all.2)),
            ("to", &zone.minute(all.3)),
            ("accounts", &accounts.join(", ")),
        ],
    ));
}

fn steps(page: &mut Page, thread: &Thread, rules: &[RuleFacts], words: &dyn Words, zone: &Zone) {
    let chosen = serious(thread);
    let mut day = zone.day(thread.first);
    let mut shown: Vec<&&Line> = chosen.iter().collect();
    if shown.len() > STEPS_MAX {
        // Each rule once before any rule twice; the order of time stays.
        let mut seen = BTreeSet::new();
        shown.retain(|line| seen.insert(line.rule));
        thin(&mut shown);
    }
    page.line(&words.label("thread.steps", &[("day", &day)]));
    let tactics = shown.iter().map(|line| words.tactic(&line.tactic).chars().count());
    let column = tactics.max().unwrap_or_default().min(TACTIC_COLUMNS_MAX);
    for (number, line) in shown.iter().enumerate() {
        let actor = short(&name_of(&principal_of(&line.event))).to_owned();
        let target = middle(short(&line.event.target));
        let sentence = match rules.get(line.rule as usize) {
            Some(rule) if rule.is_correlation => title_of(rule, words).to_owned(),
            _ => words.sentence(&line.event, &actor, &target),
        };
        let times =
            if line.findings > 1 { words.label("times", &[("count", &line.findings.to_string())]) } else { String::new() };
        let today = zone.day(line.first);
        let date = if today == day { String::new() } else { format!("{} ", today.get(5..).unwrap_or_default()) };
        day = today;
        let tactic = words.tactic(&line.tactic);
        let (clock, tactic) = (zone.clock(line.first), clip(&tactic, column));
        page.line(&format!("  {:>2} {date}{clock}  {tactic:<column$}  {sentence}{times}", number + 1));
    }
    let hidden = chosen.len() - shown.len();
    if hidden > 0 {
        page.line(&words.label("thread.more", &[("count", &hidden.to_string())]));
    }
}

/// The serious steps. What several rules say of one event is one step: the worst says it, and of equals the
/// first.
fn serious(thread: &Thread) -> Vec<&Line> {
    let mut chosen: Vec<&Line> = Vec::new();
    for line in thread.lines.iter().filter(|line| line.severity >= Severity::Medium) {
        match chosen.iter_mut().find(|known| known.event.id == line.event.id) {
            Some(known) if known.severity < line.severity => *known = line,
            Some(_) => {}
            None => chosen.push(line),
        }
    }
    chosen
}

/// Leaves as many steps as are shown: the worst, and of equals those that stand alone in their minute, so
/// that the end of a story is told like its beginning.
fn thin(steps: &mut Vec<&&Line>) {
    let mut before = None;
    let ranks = steps.iter().enumerate().map(|(number, line)| {
        let minute = line.first / MINUTE;
        (Reverse(line.severity), before.replace(minute) == Some(minute), number)
    });
    let mut ranks: Vec<(Reverse<Severity>, bool, usize)> = ranks.collect();
    ranks.sort();
    let kept: BTreeSet<usize> = ranks.into_iter().take(STEPS_MAX).map(|(.., number)| number).collect();
    let mut number = 0..;
    steps.retain(|_| number.next().is_some_and(|number| kept.contains(&number)));
}

fn others(page: &mut Page, story: &Story, told: usize, words: &dyn Words, zone: &Zone) {
    let rest = story.threads.get(told..).unwrap_or_default();
    let serious: Vec<&Thread> = rest.iter().filter(|thread| thread.severity >= Severity::Medium).collect();
    let minor = rest.len() - serious.len();
    if rest.is_empty() {
        return;
    }
    page.title(&words.label("others.title", &[]));
    for thread in serious.iter().take(THREADS_NAMED_MAX) {
        let title = thread.lines.iter().max_by_key(|line| line.severity).and_then(|line| story.rules.get(line.rule as usize));
        let title = title.map(|rule| title_of(rule, words)).unwrap_or_default();
        page.line(&words.label(
            "others.line",
            &[
                ("severity", &format!("{:<9}", words.severity(thread.severity.word()))),
                ("time", &zone.minute(thread.first)),
                ("who", &credential(&thread.lead, words)),
                ("title", title),
                ("count", &thread.findings.to_string()),
            ],
        ));
    }
    let hidden = serious.len().saturating_sub(THREADS_NAMED_MAX);
    if hidden > 0 {
        page.line(&words.label("others.more", &[("count", &hidden.to_string())]));
    }
    if minor > 0 {
        page.line(&words.label("others.minor", &[("count", &minor.to_string())]));
    }
}

/// A blind span as a sentence.
pub(crate) fn blind_sentence(blind: &Blind, words: &dyn Words, zone: &Zone) -> String {
    let key = match (&blind.until, blind.verb.as_str()) {
        (Some(_), _) => "blind.span",
        (None, _) => "blind.open",
    };
    let until = blind.until.map(|until| zone.minute(until)).unwrap_or_default();
    words
        .label(key, &[("what", short(&blind.what)), ("from", &zone.minute(blind.from)), ("to", &until), ("by", short(&blind.by))])
}

fn unseen(page: &mut Page, story: &Story, words: &dyn Words, zone: &Zone) {
    let facts = &story.facts;
    let is_clear = story.blinds.is_empty() && facts.gaps.is_empty() && facts.blind_rules.is_empty();
    if !is_clear {
        page.title(&words.label("blind.title", &[]));
    } else if !facts.proof.is_empty() {
        page.blank();
    }
    for line in &facts.proof {
        page.wrap(line, 2);
    }
    for gap in facts.gaps.iter().take(4) {
        page.wrap(&format!("  - {gap}"), 4);
    }
    for blind in story.blinds.iter().take(4) {
        page.wrap(&format!("  - {}", blind_sentence(blind, words, zone)), 4);
    }
    if !facts.blind_rules.is_empty() {
        let names: Vec<&str> = facts.blind_rules.iter().take(3).map(|(title, _)| title.as_str()).collect();
        page.line(&format!(
            "  - {}",
            words.label("blind.rules", &[("count", &facts.blind_rules.len().to_string()), ("rules", &names.join("; "))])
        ));
    }
}

fn counts(page: &mut Page, story: &Story, words: &dyn Words, rules_max: usize) {
    if story.findings == 0 {
        return;
    }
    page.title(&words.label("counts.title", &[]));
    let mut rules: Vec<(&RuleFacts, u64)> =
        story.by_rule.iter().filter_map(|(rule, count)| Some((story.rules.get(*rule as usize)?, *count))).collect();
    rules.sort_by(|a, b| b.0.severity.cmp(&a.0.severity).then(b.1.cmp(&a.1)).then(a.0.id.cmp(&b.0.id)));
    for (rule, count) in rules.iter().take(rules_max) {
        page.line(&format!(
            "  {:>6}  {:<9} {} [{}]",
            number(*count, words),
            words.severity(rule.severity.word()),
            title_of(rule, words),
            rule.techniques.join(" ")
        ));
    }
    if rules.len() > rules_max {
        let rest: u64 = rules.iter().skip(rules_max).map(|(_, count)| count).sum();
        let hidden = (rules.len() - rules_max).to_string();
        page.line(&words.label("counts.more", &[("findings", &number(rest, words)), ("rules", &hidden)]));
    }
    let mut techniques = std::collections::BTreeMap::new();
    for (rule, count) in &rules {
        rule.techniques.iter().for_each(|technique| *techniques.entry(technique.as_str()).or_insert(0) += count);
    }
    let named: Vec<String> = techniques.iter().take(10).map(|(technique, count)| format!("{technique} {count}")).collect();
    page.line(&words.label("counts.techniques", &[("techniques", &named.join(", "))]));
    if !story.facts.silenced.is_empty() {
        let total: u64 = story.facts.silenced.iter().map(|(_, count)| count).sum();
        page.line(
            &words
                .label("counts.silenced", &[("count", &total.to_string()), ("filters", &story.facts.silenced.len().to_string())]),
        );
    }
}

fn unread(page: &mut Page, story: &Story, words: &dyn Words) {
    let facts = &story.facts;
    let is_clean = facts.rejects.is_empty() && facts.broken_files.is_empty() && facts.foreign_files.is_empty();
    if is_clean && facts.conflicts == 0 && facts.duplicate_keys == 0 {
        return;
    }
    page.title(&words.label("unread.title", &[]));
    for (reason, count) in &facts.rejects {
        page.line(&words.label(reason, &[("count", &number(*count, words))]));
    }
    for sample in facts.reject_samples.iter().take(3) {
        page.line(&format!("    {sample}"));
    }
    for (key, files) in [("unread.broken", &facts.broken_files), ("unread.foreign", &facts.foreign_files)] {
        let named: Vec<String> = files.iter().take(2).map(|(name, why)| format!("{} ({why})", short(name))).collect();
        if !files.is_empty() {
            page.line(&words.label(key, &[("count", &files.len().to_string()), ("files", &named.join(", "))]));
        }
    }
    if facts.conflicts > 0 {
        page.line(&words.label("unread.conflicts", &[("count", &number(facts.conflicts, words))]));
    }
    if facts.duplicate_keys > 0 {
        page.line(&words.label("unread.duplicate_keys", &[("count", &number(facts.duplicate_keys, words))]));
    }
}

fn next(page: &mut Page, story: &Story, words: &dyn Words) {
    let Some(thread) = story.threads.first() else {
        return;
    };
    let Some(line) = thread.lines.iter().max_by_key(|line| (line.severity, Reverse(line.first))) else {
        return;
    };
    let response = story.rules.get(line.rule as usize).map(|rule| words.language().response(rule)).unwrap_or_default();
    page.title(&words.label("next.title", &[]));
    if !response.is_empty() {
        page.wrap(&format!("  {response}"), 2);
    }
    let paths = &story.facts.paths;
    page.command(&format!("vigie hunt {paths} --explain {}", line.event.uid));
    page.command(&format!("vigie hunt {paths} -o html --out story.html"));
    page.command(&format!("vigie hunt {paths} -o ndjson --min-level medium --out findings.ndjson"));
}
