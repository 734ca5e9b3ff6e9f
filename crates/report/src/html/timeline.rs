//! The timeline of a story with its two clocks, its summary in words and its table.

use crate::html::draw::draw;
use crate::html::page::Html;
use crate::html::plot::Plot;
use crate::html::table;
use crate::html::view::{View, step_number};
use crate::story::{Line, Thread, principal_of};
use crate::text::{blind_sentence, credential};

/// The drawing, its summary and its table; `id` tells it from those of other stories.
pub(crate) fn timeline<'t>(page: &mut Html, view: &View<'t>, thread: &'t Thread, steps: &[&Line], id: &str) {
    let plot = Plot::new(view, thread, steps);
    let has_known = thread.lines.iter().any(|line| line.event.delivered.is_some());
    page.element("h3", &[], &view.word("html.timeline.title"));
    let summary = format!("{id}-timeline-summary");
    page.prose("p", &[("class", "note"), ("id", &summary)], &in_words(view, &plot, steps));
    legend(page, view, &plot, has_known);
    let name = view.word("html.timeline.title");
    page.open("div", &[("class", "scroll"), ("role", "group"), ("tabindex", "0"), ("aria-label", &name)]);
    draw(page, view, &plot, id, &summary);
    page.raw("</div>\n");
    twin(page, view, thread, &plot, steps);
}

fn in_words(view: &View<'_>, plot: &Plot<'_>, steps: &[&Line]) -> String {
    let mut text = view.label(
        "html.timeline.summary",
        &[
            ("from", &view.zone.minute(plot.axis.from)),
            ("to", &view.zone.minute(plot.axis.until)),
            ("zone", &view.zone.name),
            ("lanes", &plot.lanes.len().to_string()),
            ("steps", &steps.len().to_string()),
            ("blinds", &plot.blinds.len().to_string()),
        ],
    );
    if plot.outside > 0 {
        text.push(' ');
        text.push_str(&view.counted("html.timeline.outside", plot.outside as u64));
    }
    text
}

/// What the marks mean.
fn legend(page: &mut Html, view: &View<'_>, plot: &Plot<'_>, has_known: bool) {
    page.raw("<p class=\"legend\"><span><svg class=\"draw mini\" width=\"12\" height=\"12\" aria-hidden=\"true\"><circle class=\"mark\" cx=\"6\" cy=\"6\" r=\"5\"/></svg>");
    page.text(&view.word("html.timeline.occurred"));
    page.raw("</span><span><svg class=\"draw mini\" width=\"28\" height=\"12\" aria-hidden=\"true\"><rect class=\"span\" x=\"0\" y=\"4\" width=\"28\" height=\"4\"/></svg>");
    page.text(&view.word("html.timeline.during"));
    page.raw("</span>");
    if has_known {
        page.raw("<span><svg class=\"draw mini\" width=\"30\" height=\"12\" aria-hidden=\"true\"><path class=\"wait\" d=\"M0 6h28\"/><path class=\"known\" d=\"M29 0v12\"/></svg>");
        page.text(&view.word("html.timeline.known"));
        page.raw("</span>");
    } else {
        page.raw("<span>");
        page.text(&view.word("html.timeline.undelivered"));
        page.raw("</span>");
    }
    if !plot.blinds.is_empty() {
        page.raw("<span><svg width=\"24\" height=\"12\" aria-hidden=\"true\"><rect width=\"24\" height=\"12\" fill=\"url(#hatch)\"/></svg>");
        page.text(&view.word("html.timeline.unrecorded"));
        page.raw("</span>");
    }
    page.raw("</p>\n");
}

fn twin(page: &mut Html, view: &View<'_>, thread: &Thread, plot: &Plot<'_>, steps: &[&Line]) {
    let caption = view.word("html.timeline.table");
    page.raw("<details><summary>");
    page.text(&caption);
    page.raw("</summary>");
    table::open(
        page,
        view,
        &caption,
        &[
            ("html.column.step", "num"),
            ("html.column.occurred", ""),
            ("html.column.last", ""),
            ("html.column.known", ""),
            ("html.column.who", ""),
            ("html.column.what", ""),
        ],
    );
    page.raw("<tbody>");
    let (lines, hidden) = table::limited(&thread.lines);
    for line in lines {
        let step = step_number(steps, line).map(|step| step.to_string()).unwrap_or_default();
        page.raw("<tr>");
        table::cell(page, "num", &step);
        table::cell(page, "nowrap", &view.instant(line.first));
        table::cell(page, "nowrap", &view.instant(line.last));
        let known = line.event.delivered.map(|delivered| view.instant(delivered)).unwrap_or_default();
        table::cell(page, "nowrap", &known);
        table::cell(page, "", &credential(&principal_of(&line.event), view.words));
        table::cell(page, "wide", &view.repeated(line));
        page.raw("</tr>\n");
    }
    for blind in &plot.blinds {
        page.raw("<tr><td></td>");
        table::cell(page, "nowrap", &view.instant(blind.from));
        let until = blind.until.map(|until| view.instant(until)).unwrap_or_default();
        table::cell(page, "nowrap", &until);
        page.raw("<td></td>");
        table::cell(page, "", &blind.by);
        table::cell(page, "wide", &blind_sentence(blind, view.words, view.zone));
        page.raw("</tr>\n");
    }
    page.raw("</tbody>");
    table::close(page, view, hidden);
    page.raw("</details>\n");
}
