//! What follows the stories: other actors, counts by rule, what was not read, what was not seen, how it was made.

use vigie_model::RuleFacts;

use crate::html::page::Html;
use crate::html::table;
use crate::html::view::View;
use crate::story::Thread;
use crate::text::{blind_sentence, credential};

/// Samples and lines of one list.
const LIST_MAX: usize = 200;

/// Threads that are not told in full, one row each.
pub(crate) fn others(page: &mut Html, view: &View<'_>, threads: &[Thread]) {
    if threads.is_empty() {
        return;
    }
    let caption = section(page, view, "others", "html.others.title");
    table::open(
        page,
        view,
        &caption,
        &[
            ("html.column.severity", ""),
            ("html.column.who", ""),
            ("html.column.worst", ""),
            ("html.column.findings", "num"),
            ("html.column.first", ""),
            ("html.column.last", ""),
            ("html.column.address", ""),
        ],
    );
    page.raw("<tbody>");
    let (shown, hidden) = table::limited(threads);
    for thread in shown {
        page.raw("<tr><td>");
        view.severity(page, thread.severity);
        page.raw("</td>");
        table::head_cell(page, "", &credential(&thread.lead, view.words));
        let worst = thread.lines.iter().max_by_key(|line| line.severity).and_then(|line| view.rule(line));
        table::cell(page, "lead", worst.map(|rule| view.title(rule)).unwrap_or_default());
        table::cell(page, "num", &view.number(thread.findings));
        table::cell(page, "nowrap", &view.zone.minute(thread.first));
        table::cell(page, "nowrap", &view.zone.minute(thread.last));
        let addresses: Vec<&str> = thread.addresses.keys().map(String::as_str).take(3).collect();
        let more = thread.addresses.len() - addresses.len();
        let more = if more > 0 { view.counted("html.more", more as u64) } else { String::new() };
        table::cell(page, "id", format!("{} {more}", addresses.join(", ")).trim());
        page.raw("</tr>\n");
    }
    page.raw("</tbody>");
    table::close(page, view, hidden);
    page.raw("</section>\n");
}

/// Findings by rule, worst first, and what filters silenced.
pub(crate) fn rules(page: &mut Html, view: &View<'_>) {
    let story = view.story;
    if story.findings == 0 && story.facts.silenced.is_empty() {
        return;
    }
    let mut rules: Vec<(&RuleFacts, u64)> =
        story.by_rule.iter().filter_map(|(rule, count)| Some((story.rules.get(*rule as usize)?, *count))).collect();
    rules.sort_by(|a, b| b.0.severity.cmp(&a.0.severity).then(b.1.cmp(&a.1)).then(a.0.id.cmp(&b.0.id)));
    let caption = section(page, view, "rules", "html.rules.title");
    table::open(
        page,
        view,
        &caption,
        &[
            ("html.column.severity", ""),
            ("html.column.rule", ""),
            ("html.column.findings", "num"),
            ("html.column.techniques", ""),
            ("html.column.rule_id", ""),
        ],
    );
    page.raw("<tbody>");
    let (shown, hidden) = table::limited(&rules);
    for (rule, count) in shown {
        rule_row(page, view, rule, *count);
    }
    page.raw("</tbody>");
    table::close(page, view, hidden);
    if !story.facts.silenced.is_empty() {
        pairs(
            page,
            view,
            "html.silenced.title",
            ["html.column.filter", "html.column.findings"],
            &counted(view, &story.facts.silenced),
        );
    }
    page.raw("</section>\n");
}

fn rule_row(page: &mut Html, view: &View<'_>, rule: &RuleFacts, count: u64) {
    page.raw("<tr><td>");
    view.severity(page, rule.severity);
    page.raw("</td>");
    page.raw("<th scope=\"row\" class=\"lead\">");
    page.text(view.title(rule));
    let response = view.response(rule);
    if !response.is_empty() {
        page.element("span", &[("class", "under")], response);
    }
    page.raw("</th>");
    table::cell(page, "num", &view.number(count));
    table::cell(page, "id", &rule.techniques.join(" "));
    table::cell(page, "id uid", &rule.id);
    page.raw("</tr>\n");
}

/// Records and files that could not be read, and what was odd about others.
pub(crate) fn unread(page: &mut Html, view: &View<'_>) {
    if !has_unread(view) {
        return;
    }
    let facts = &view.story.facts;
    section(page, view, "unread", "unread.title");
    page.raw("<ul class=\"list\">");
    for (reason, count) in &facts.rejects {
        page.element("li", &[], &view.counted(reason, *count));
    }
    for (key, count) in [("unread.conflicts", facts.conflicts), ("unread.duplicate_keys", facts.duplicate_keys)] {
        if count > 0 {
            page.element("li", &[], &view.counted(key, count));
        }
    }
    page.raw("</ul>\n");
    if !facts.reject_samples.is_empty() {
        page.raw("<details><summary>");
        page.text(&view.counted("html.unread.samples", facts.reject_samples.len() as u64));
        page.raw("</summary><ul class=\"list id\">");
        for sample in facts.reject_samples.iter().take(LIST_MAX) {
            page.element("li", &[], sample);
        }
        page.raw("</ul></details>\n");
    }
    pairs(page, view, "html.unread.broken", ["html.column.file", "html.column.why"], &facts.broken_files);
    pairs(page, view, "html.unread.foreign", ["html.column.file", "html.column.why"], &facts.foreign_files);
    page.raw("</section>\n");
}

/// Spans not recorded, and rules whose fields the logs do not hold.
pub(crate) fn unseen(page: &mut Html, view: &View<'_>) {
    if !has_unseen(view) {
        return;
    }
    let facts = &view.story.facts;
    section(page, view, "unseen", "blind.title");
    page.raw("<ul class=\"list\">");
    for gap in facts.gaps.iter().take(LIST_MAX) {
        page.prose("li", &[], gap);
    }
    for blind in view.story.blinds.iter().take(LIST_MAX) {
        page.prose("li", &[], &blind_sentence(blind, view.words, view.zone));
    }
    page.raw("</ul>\n");
    let hidden = facts.gaps.len().saturating_sub(LIST_MAX) + view.story.blinds.len().saturating_sub(LIST_MAX);
    if hidden > 0 {
        page.element("p", &[("class", "note")], &view.counted("html.more", hidden as u64));
    }
    for line in facts.proof.iter().skip(1) {
        match line.strip_prefix("  ") {
            Some(command) => page.element("p", &[("class", "id")], command),
            None => page.element("p", &[], line),
        }
    }
    pairs(page, view, "html.blind.rules", ["html.column.rule", "html.column.missing"], &facts.blind_rules);
    page.raw("</section>\n");
}

/// Whether [`unread`] says anything.
pub(crate) fn has_unread(view: &View<'_>) -> bool {
    let facts = &view.story.facts;
    let is_clean = facts.rejects.is_empty() && facts.broken_files.is_empty() && facts.foreign_files.is_empty();
    !is_clean || facts.conflicts > 0 || facts.duplicate_keys > 0
}

/// Whether [`unseen`] says anything.
pub(crate) fn has_unseen(view: &View<'_>) -> bool {
    let facts = &view.story.facts;
    !view.story.blinds.is_empty() || !facts.gaps.is_empty() || !facts.blind_rules.is_empty() || facts.proof.len() > 1
}

/// How the page was made; nothing in it depends on when.
pub(crate) fn foot(page: &mut Html, view: &View<'_>) {
    let facts = &view.story.facts;
    page.raw("<footer class=\"foot\">");
    page.element(
        "p",
        &[],
        &view.label(
            "html.foot.made",
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("files", &view.number(facts.files)),
                ("rules", &view.number(facts.rules)),
                ("zone", &view.zone.name),
            ],
        ),
    );
    page.element("p", &[], &view.word("html.foot.same"));
    if let Some(line) = view.story.threads.first().and_then(|thread| thread.lines.first()) {
        page.element("p", &[], &view.word("html.foot.explain"));
        page.element("p", &[("class", "id")], &format!("vigie hunt {} --explain {}", facts.paths, line.event.uid));
    }
    page.raw("</footer>\n");
}

/// Starts a section and writes its heading; the heading is returned for captions.
fn section(page: &mut Html, view: &View<'_>, id: &'static str, key: &str) -> String {
    let title = view.word(key);
    let heading = format!("{id}-title");
    page.open("section", &[("class", "end"), ("id", id), ("aria-labelledby", &heading)]);
    page.element("h2", &[("id", &heading)], &title);
    title
}

fn counted(view: &View<'_>, names: &[(String, u64)]) -> Vec<(String, String)> {
    names.iter().map(|(name, count)| (name.clone(), view.number(*count))).collect()
}

/// A table of two columns under its own heading.
fn pairs(page: &mut Html, view: &View<'_>, title: &str, columns: [&str; 2], rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    let (shown, hidden) = table::limited(rows);
    let caption = view.counted(title, rows.len() as u64);
    let [first, second] = columns;
    page.element("h3", &[], &caption);
    table::open(page, view, &caption, &[(first, "half"), (second, "")]);
    page.raw("<tbody>");
    for (name, text) in shown {
        page.raw("<tr>");
        table::head_cell(page, "wide", name);
        table::cell(page, "wide", text);
        page.raw("</tr>\n");
    }
    page.raw("</tbody>");
    table::close(page, view, hidden);
}
