//! The findings of one story, line by line, grouped by who acted.

use vigie_model::Principal;

use crate::html::page::Html;
use crate::html::table;
use crate::html::view::{View, step_number};
use crate::story::{Line, Thread, key_of, principal_of};
use crate::text::credential;

/// Lines of one principal.
struct Group<'t> {
    key: String,
    principal: Principal,
    lines: Vec<&'t Line>,
}

/// The table of a thread's findings.
pub(crate) fn findings(page: &mut Html, view: &View<'_>, thread: &Thread, steps: &[&Line]) {
    let has_known = thread.lines.iter().any(|line| line.event.delivered.is_some());
    let mut columns = vec![("html.column.step", "num"), ("html.column.time", "")];
    if has_known {
        columns.push(("html.column.known", ""));
    }
    columns.extend([
        ("html.column.severity", ""),
        ("html.column.finding", ""),
        ("html.column.events", "num"),
        ("html.column.target", ""),
        ("html.column.address", ""),
        ("html.column.techniques", ""),
        ("html.column.event", ""),
    ]);
    let caption = view.word("html.findings.title");
    page.element("h3", &[], &caption);
    table::open(page, view, &caption, &columns);
    let (lines, hidden) = table::limited(&thread.lines);
    for group in groups(lines) {
        page.raw("<tbody><tr class=\"group\">");
        let span = columns.len().to_string();
        page.open("th", &[("scope", "rowgroup"), ("colspan", &span)]);
        page.text(&credential(&group.principal, view.words));
        page.raw(" <span class=\"quiet\">");
        page.text(&view.counted("html.group.findings", group.lines.iter().map(|line| line.findings).sum()));
        page.raw("</span></th></tr>\n");
        for line in &group.lines {
            row(page, view, line, step_number(steps, line), has_known);
        }
        page.raw("</tbody>");
    }
    table::close(page, view, hidden);
    let told: u64 = thread.lines.iter().map(|line| line.findings).sum();
    if thread.findings > told {
        page.element("p", &[("class", "note")], &view.counted("html.findings.more", thread.findings - told));
    }
}

/// Lines by principal, in the order in which the principals first act.
fn groups(lines: &[Line]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for line in lines {
        let principal = principal_of(&line.event);
        let key = key_of(&principal);
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.lines.push(line),
            None => groups.push(Group { key, principal, lines: vec![line] }),
        }
    }
    groups
}

fn row(page: &mut Html, view: &View<'_>, line: &Line, step: Option<usize>, has_known: bool) {
    page.raw("<tr><td class=\"num\">");
    if let Some(step) = step {
        page.element("span", &[("class", "step")], &step.to_string());
    }
    page.raw("</td><td class=\"nowrap\">");
    view.time(page, line.first, &view.instant(line.first));
    if line.last > line.first {
        page.element("span", &[("class", "under")], &view.label("html.until", &[("time", &view.instant(line.last))]));
    }
    page.raw("</td>");
    if has_known {
        known(page, view, line);
    }
    page.raw("<td>");
    view.severity(page, line.severity);
    page.raw("</td><td class=\"lead\">");
    finding(page, view, line);
    page.raw("</td>");
    table::cell(page, "num", &view.number(line.events));
    table::cell(page, "id wide", &line.event.target);
    table::cell(page, "id", &line.event.address);
    table::cell(page, "id", &line.techniques.join(" "));
    table::cell(page, "id uid", &line.event.uid);
    page.raw("</tr>\n");
}

/// When an event was delivered, and how long after it happened.
fn known(page: &mut Html, view: &View<'_>, line: &Line) {
    page.raw("<td class=\"nowrap\">");
    if let Some(delivered) = line.event.delivered {
        view.time(page, delivered, &view.instant(delivered));
        let delay = view.duration(delivered.saturating_sub(line.event.occurred));
        page.element("span", &[("class", "under")], &view.label("html.delay", &[("duration", &delay)]));
    }
    page.raw("</td>");
}

/// The rule's title, and under it what the event says where that is something else.
fn finding(page: &mut Html, view: &View<'_>, line: &Line) {
    let title = view.rule(line).map(|rule| view.title(rule)).unwrap_or_default();
    page.element("b", &[], title);
    let told = view.repeated(line);
    let more = told.strip_prefix(title).unwrap_or(&told).trim();
    if !more.is_empty() {
        page.prose("span", &[("class", "under")], more);
    }
}
