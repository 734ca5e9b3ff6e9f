//! ATT&CK tactics in their order, hit or not, as a strip and as a table.

use std::collections::BTreeSet;

use vigie_model::{RuleFacts, Severity};

use crate::html::page::Html;
use crate::html::table;
use crate::html::view::View;
use crate::story::Thread;

/// Tactics of the enterprise matrix, in its order.
const TACTICS: [&str; 14] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];

/// Techniques named in a field of the strip; the table names all.
const TECHNIQUES_MAX: usize = 2;

/// What the rules of a thread say about one tactic.
struct Tally<'a> {
    tactic: &'a str,
    techniques: BTreeSet<&'a str>,
    rules: Vec<&'a RuleFacts>,
    findings: u64,
    severity: Severity,
}

impl<'a> Tally<'a> {
    fn new(tactic: &'a str) -> Tally<'a> {
        Tally { tactic, techniques: BTreeSet::new(), rules: Vec::new(), findings: 0, severity: Severity::Informational }
    }
}

/// Every tactic of the matrix, then those that only a rule names.
fn tally<'a>(view: &View<'a>, thread: &Thread) -> Vec<Tally<'a>> {
    let mut all: Vec<Tally<'a>> = TACTICS.into_iter().map(Tally::new).collect();
    let rules: &'a [RuleFacts] = &view.story.rules;
    for (rule, findings) in &thread.rules {
        let Some(facts) = rules.get(*rule as usize) else {
            continue;
        };
        for tactic in &facts.tactics {
            let known = all.iter().position(|tally| tally.tactic == tactic.as_str());
            let at = known.unwrap_or(all.len());
            if known.is_none() {
                all.push(Tally::new(tactic));
            }
            if let Some(tally) = all.get_mut(at) {
                tally.techniques.extend(facts.techniques.iter().map(String::as_str));
                tally.rules.push(facts);
                tally.findings += findings;
                tally.severity = tally.severity.max(facts.severity.min(thread.severity));
            }
        }
    }
    all
}

/// The strip and its table.
pub(crate) fn attack(page: &mut Html, view: &View<'_>, thread: &Thread) {
    let all = tally(view, thread);
    page.element("h3", &[], &view.word("html.attack.title"));
    page.raw("<ol class=\"strip\">\n");
    for tally in &all {
        page.open("li", &[("class", class_of(tally))]);
        page.element("b", &[], &view.words.tactic(tally.tactic));
        if tally.findings == 0 {
            page.element("span", &[], &view.word("html.attack.none"));
        } else {
            page.element("span", &[("class", "id")], &named(tally));
            page.element("span", &[], &view.counted("html.attack.findings", tally.findings));
        }
        page.raw("</li>\n");
    }
    page.raw("</ol>\n");
    twin(page, view, &all);
}

fn class_of(tally: &Tally<'_>) -> &'static str {
    match tally.severity {
        _ if tally.findings == 0 => "",
        Severity::Critical => "hit critical",
        Severity::High => "hit high",
        Severity::Medium => "hit medium",
        Severity::Low => "hit low",
        Severity::Informational => "hit info",
    }
}

/// The first techniques, and how many more.
fn named(tally: &Tally<'_>) -> String {
    let shown: Vec<&str> = tally.techniques.iter().copied().take(TECHNIQUES_MAX).collect();
    let hidden = tally.techniques.len() - shown.len();
    let more = if hidden > 0 { format!(" +{hidden}") } else { String::new() };
    format!("{}{more}", shown.join(" "))
}

fn twin(page: &mut Html, view: &View<'_>, all: &[Tally<'_>]) {
    let caption = view.word("html.attack.table");
    page.raw("<details><summary>");
    page.text(&caption);
    page.raw("</summary>");
    table::open(
        page,
        view,
        &caption,
        &[("html.column.tactic", ""), ("html.column.techniques", ""), ("html.column.findings", "num"), ("html.column.rules", "")],
    );
    page.raw("<tbody>");
    for tally in all {
        page.raw("<tr>");
        table::head_cell(page, "", &view.words.tactic(tally.tactic));
        let techniques: Vec<&str> = tally.techniques.iter().copied().collect();
        table::cell(page, "id", &techniques.join(" "));
        table::cell(page, "num", &view.number(tally.findings));
        let titles: Vec<&str> = tally.rules.iter().map(|rule| view.title(rule)).collect();
        table::cell(page, "wide", &titles.join("; "));
        page.raw("</tr>\n");
    }
    page.raw("</tbody>");
    table::close(page, view, 0);
    page.raw("</details>\n");
}
