//! One story in full: who, what, what cannot be said, then the proof in drawings and tables.

use vigie_model::{LinkKind, Severity};

use crate::html::page::Html;
use crate::html::view::{View, step_number, steps_of};
use crate::html::{attack, chain, table, tables, timeline};
use crate::story::{Blind, Line, Thread, behind_of, name_of, short};
use crate::text::{blind_sentence, credential};

/// Addresses, accounts and outside parties named in the box; the tables name all.
const NAMED_MAX: usize = 6;
/// Lines of what cannot be said.
const DOUBTS_MAX: usize = 8;

/// The section of a thread, the `number`th of the page.
pub(crate) fn section(page: &mut Html, view: &View<'_>, thread: &Thread, number: usize) {
    let id = format!("story-{number}");
    let title = format!("{id}-title");
    let steps = steps_of(thread);
    page.open("section", &[("class", "thread"), ("id", &id), ("aria-labelledby", &title)]);
    page.open("h2", &[("id", &title)]);
    view.severity(page, thread.severity);
    page.text(" ");
    page.text(&credential(&thread.lead, view.words));
    page.close("h2");
    let counts = view.label(
        "html.story.counts",
        &[
            ("findings", &view.number(thread.findings)),
            ("rules", &view.number(thread.rules.len() as u64)),
            ("from", &view.zone.minute(thread.first)),
            ("to", &view.zone.minute(thread.last)),
            ("zone", &view.zone.name),
        ],
    );
    page.prose("p", &[("class", "note")], &counts);
    page.raw("<div class=\"story\"><div>");
    facts(page, view, thread);
    chain::chain(page, view, thread);
    numbered(page, view, thread, &steps);
    page.raw("</div>\n");
    doubts(page, view, thread);
    page.raw("</div>\n");
    attack::attack(page, view, thread);
    timeline::timeline(page, view, thread, &steps, &id);
    tables::findings(page, view, thread, &steps);
    page.raw("<div class=\"side\">");
    table::names(page, view, "html.addresses", "html.column.address", &thread.addresses);
    table::names(page, view, "html.programs", "html.column.program", &thread.user_agents);
    table::names(page, view, "html.resources", "html.column.target", &thread.targets);
    page.raw("</div></section>\n");
}

/// Who, from where, how much: the sentences of the text story.
fn facts(page: &mut Html, view: &View<'_>, thread: &Thread) {
    page.raw("<dl class=\"facts\">");
    let ids = [thread.lead.credential.as_str(), thread.lead.uid.as_str()];
    let ids: Vec<&str> = ids.into_iter().filter(|id| !id.is_empty()).collect();
    if !ids.is_empty() {
        fact(page, view, "html.fact.who", &ids.join(", "));
    }
    fact(page, view, "html.fact.behind", &behind(view, thread));
    if !thread.addresses.is_empty() {
        let from: Vec<String> = thread.addresses.keys().map(|address| thread.origin_of(address)).collect();
        fact(page, view, "html.fact.from", &listed(view, from.iter().map(String::as_str)));
    }
    if let Some((agent, _)) = thread.user_agents.iter().max_by_key(|(_, count)| **count) {
        fact(page, view, "html.fact.program", agent);
    }
    if let Some(did) = did(view, thread) {
        fact(page, view, "html.fact.did", &did);
    }
    if !thread.accounts.is_empty() {
        fact(page, view, "html.fact.accounts", &listed(view, thread.accounts.iter().map(String::as_str)));
    }
    if !thread.peers.is_empty() {
        fact(page, view, "html.fact.peers", &listed(view, thread.peers.iter().map(|peer| short(peer))));
    }
    let worst = thread.lines.iter().max_by_key(|line| (line.severity, std::cmp::Reverse(line.first)));
    let response = worst.and_then(|line| view.rule(line)).map(|rule| view.response(rule)).unwrap_or_default();
    if !response.is_empty() {
        fact(page, view, "html.fact.next", response);
    }
    page.raw("</dl>\n");
}

fn fact(page: &mut Html, view: &View<'_>, key: &str, text: &str) {
    page.element("dt", &[], &view.word(key));
    page.prose("dd", &[], text);
}

/// The first names of a list, and how many more there are.
fn listed<'n>(view: &View<'_>, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown: Vec<&str> = names.iter().copied().take(NAMED_MAX).collect();
    let mut text = shown.join(", ");
    let hidden = names.len() - shown.len();
    if hidden > 0 {
        text.push(' ');
        text.push_str(&view.counted("html.more", hidden as u64));
    }
    text
}

fn behind(view: &View<'_>, thread: &Thread) -> String {
    let Some(behind) = behind_of(thread) else {
        return view.label("html.behind.unknown", &[("who", short(&name_of(&thread.lead)))]);
    };
    let key = match behind.step.kind {
        LinkKind::Same => "html.behind.same",
        _ if behind.via.is_empty() => "html.behind",
        _ => "html.behind.via",
    };
    let time = view.zone.minute(behind.step.occurred);
    view.label(key, &[("person", short(&behind.person)), ("time", &time), ("via", behind.via)])
}

fn did(view: &View<'_>, thread: &Thread) -> Option<String> {
    let mut all = (0u64, 0u64, i64::MAX, i64::MIN);
    for seen in thread.credentials.iter().filter_map(|name| (view.activity)(name)) {
        all = (all.0 + seen.0, all.1 + seen.1, all.2.min(seen.2), all.3.max(seen.3));
    }
    if all.0 == 0 {
        return None;
    }
    Some(view.label(
        "html.did",
        &[
            ("events", &view.number(all.0)),
            ("refused", &view.number(all.1)),
            ("from", &view.zone.minute(all.2)),
            ("to", &view.zone.minute(all.3)),
        ],
    ))
}

/// The numbered steps; the same numbers stand in the timeline and the tables.
fn numbered(page: &mut Html, view: &View<'_>, thread: &Thread, steps: &[&Line]) {
    if steps.is_empty() {
        return;
    }
    page.element("h3", &[], &view.word("html.steps.title"));
    page.raw("<ol class=\"steps\">\n");
    let mut day = String::new();
    for (index, line) in steps.iter().enumerate() {
        let today = view.zone.day(line.first);
        let shown = if today == day { view.zone.clock(line.first) } else { view.zone.minute(line.first) };
        day = today;
        page.raw("<li>");
        page.element("span", &[("class", "step")], &(index + 1).to_string());
        view.time(page, line.first, &shown);
        page.element("span", &[("class", "tactic")], &view.words.tactic(&line.tactic));
        page.prose("span", &[], &view.repeated(line));
        page.raw("</li>\n");
    }
    page.raw("</ol>\n");
    let serious = |line: &&Line| line.severity >= Severity::Medium;
    let hidden = thread.lines.iter().filter(serious).filter(|line| step_number(steps, line).is_none()).count();
    if hidden > 0 {
        page.element("p", &[("class", "note")], &view.counted("html.steps.more", hidden as u64));
    }
}

/// What cannot be said about the time of this thread.
fn doubts(page: &mut Html, view: &View<'_>, thread: &Thread) {
    let facts = &view.story.facts;
    let touches = |blind: &&Blind| blind.from <= thread.last && blind.until.is_none_or(|until| until >= thread.first);
    let blinds = view.story.blinds.iter().filter(touches).map(|blind| blind_sentence(blind, view.words, view.zone));
    let lines: Vec<String> = facts.gaps.iter().cloned().chain(blinds).collect();
    page.raw("<div class=\"doubt\"><h3><svg class=\"glyph\" aria-hidden=\"true\"><use href=\"#g-unknown\"/></svg>");
    page.text(&view.word("blind.title"));
    page.raw("</h3>");
    if let Some(verdict) = facts.proof.first() {
        page.prose("p", &[], verdict);
    }
    if lines.is_empty() && facts.blind_rules.is_empty() {
        page.element("p", &[], &view.word("html.doubt.none"));
        page.raw("</div>");
        return;
    }
    page.raw("<ul>");
    for line in lines.iter().take(DOUBTS_MAX) {
        page.prose("li", &[], line);
    }
    let hidden = lines.len().saturating_sub(DOUBTS_MAX);
    if hidden > 0 {
        page.element("li", &[], &view.counted("html.more", hidden as u64));
    }
    if !facts.blind_rules.is_empty() {
        page.raw("<li><a href=\"#unseen\">");
        page.text(&view.counted("html.doubt.rules", facts.blind_rules.len() as u64));
        page.raw("</a></li>");
    }
    page.raw("</ul></div>\n");
}
