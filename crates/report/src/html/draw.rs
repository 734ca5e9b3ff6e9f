//! The drawing of a timeline: positions are attributes, colours are classes, so that no inline style is needed.

use std::collections::BTreeMap;

use vigie_model::Severity;

use crate::html::page::Html;
use crate::html::plot::{Axis, LEFT, Lane, Mark, PAD, PLAIN_RADIUS, Plot, RIGHT, ROW, STEP_RADIUS, WIDTH};
use crate::html::view::View;
use crate::story::{Blind, short};
use crate::text::{blind_sentence, clip};

/// Height of the axis above the lanes.
const TOP: f64 = 20.0;
/// Width of a bin.
const BIN: f64 = 8.0;

/// Writes the drawing; the element with the id `summary` describes it.
pub(crate) fn draw(page: &mut Html, view: &View<'_>, plot: &Plot<'_>, id: &str, summary: &str) {
    let lanes: f64 = plot.lanes.iter().map(Lane::height).sum();
    let height = TOP + lanes + plot.blinds.len() as f64 * (ROW + PAD) + 4.0;
    let title = format!("{id}-timeline-title");
    let frame = format!("0 0 {} {}", px(WIDTH), px(height));
    page.open(
        "svg",
        &[("class", "draw"), ("viewBox", &frame), ("role", "img"), ("aria-labelledby", &title), ("aria-describedby", summary)],
    );
    page.element("title", &[("id", &title)], &view.word("html.timeline.title"));
    axis(page, view, plot, height);
    let mut y = TOP;
    for lane in &plot.lanes {
        rule(page, y);
        label(page, y, &lane.id, &lane.name);
        if plot.is_binned {
            bins(page, lane, &plot.axis, y + lane.height());
        }
        for mark in lane.marks.iter().filter(|mark| mark.step.is_some() || !plot.is_binned) {
            mark_at(page, view, plot, mark, y + PAD / 2.0 + ROW * (mark.row as f64 + 0.5));
        }
        y += lane.height();
    }
    for blind in &plot.blinds {
        rule(page, y);
        label(page, y, &clip(short(&blind.what), 30), "");
        hatched(page, view, &plot.axis, blind, y);
        y += ROW + PAD;
    }
    rule(page, y);
    page.raw("</svg>\n");
}

/// A length as an attribute.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn axis(page: &mut Html, view: &View<'_>, plot: &Plot<'_>, height: f64) {
    let mut day = view.zone.day(plot.axis.from);
    page.element("text", &[("class", "quiet"), ("x", "0"), ("y", "11")], &format!("{}, {day}", view.zone.name));
    for tick in plot.axis.ticks(view.zone) {
        let x = plot.axis.x(tick);
        let today = view.zone.day(tick);
        let clock = view.zone.clock(tick);
        let shown = if today == day { clock } else { format!("{} {clock}", today.get(5..).unwrap_or_default()) };
        day = today;
        page.void("path", &[("class", "grid"), ("d", &format!("M{} 16V{}", px(x), px(height - 4.0)))]);
        page.element("text", &[("class", "quiet"), ("x", &px(x)), ("y", "11"), ("text-anchor", "middle")], &shown);
    }
}

fn rule(page: &mut Html, y: f64) {
    page.void("path", &[("class", "grid"), ("d", &format!("M0 {}H{}", px(y), px(WIDTH)))]);
}

/// The id on the left, the name before the axis; the id alone, or the name alone, on the left.
fn label(page: &mut Html, y: f64, id: &str, name: &str) {
    let line = px(y + (ROW + PAD) / 2.0 + 4.0);
    if id.is_empty() {
        page.element("text", &[("class", "strong"), ("x", "0"), ("y", &line)], name);
        return;
    }
    page.element("text", &[("class", "mono"), ("x", "0"), ("y", &line)], id);
    if !name.is_empty() {
        page.element("text", &[("class", "quiet"), ("x", &px(LEFT - 14.0)), ("y", &line), ("text-anchor", "end")], name);
    }
}

/// A disc where it occurred, a bar while it went on, a dotted wait and a tick where it became known.
fn mark_at(page: &mut Html, view: &View<'_>, plot: &Plot<'_>, mark: &Mark<'_>, y: f64) {
    let (line, axis) = (mark.line, &plot.axis);
    let (x, last) = (axis.x(line.first), axis.x(line.last));
    let radius = if mark.step.is_some() { STEP_RADIUS } else { PLAIN_RADIUS };
    page.raw("<g><title>");
    page.text(&format!("{} {}", view.instant(line.first), view.repeated(line)));
    page.raw("</title>");
    if last - x > 1.0 {
        page.void("rect", &[("class", "span"), ("x", &px(x)), ("y", &px(y - 2.0)), ("width", &px(last - x)), ("height", "4")]);
    }
    if let Some(delivered) = line.event.delivered
        && (mark.step.is_some() || !plot.is_dense)
    {
        let known = axis.x(delivered);
        if known > x + radius {
            page.void("path", &[("class", "wait"), ("d", &format!("M{} {}H{}", px(x + radius), px(y), px(known)))]);
        }
        page.void("path", &[("class", "known"), ("d", &format!("M{} {}v12", px(known), px(y - 6.0)))]);
    }
    page.void("circle", &[("class", class_of(line.severity)), ("cx", &px(x)), ("cy", &px(y)), ("r", &px(radius))]);
    if let Some(step) = mark.step {
        page.element("text", &[("class", "num"), ("x", &px(x)), ("y", &px(y + 3.5))], &step.to_string());
    }
    page.raw("</g>\n");
}

fn class_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "mark critical",
        Severity::High => "mark high",
        Severity::Medium => "mark medium",
        Severity::Low | Severity::Informational => "mark plain",
    }
}

/// How many marks fall into each bin of a lane, as bars on its lower edge.
fn bins(page: &mut Html, lane: &Lane<'_>, axis: &Axis, floor: f64) {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for mark in lane.marks.iter().filter(|mark| mark.step.is_none()) {
        *counts.entry(((axis.x(mark.line.first) - LEFT) / BIN) as u32).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(1);
    for (bin, count) in counts {
        let tall = 2.0 + 14.0 * f64::from(count) / f64::from(most);
        let x = px(LEFT + f64::from(bin) * BIN);
        page.open(
            "rect",
            &[("class", "bin"), ("x", &x), ("y", &px(floor - tall)), ("width", &px(BIN - 1.0)), ("height", &px(tall))],
        );
        page.element("title", &[], &count.to_string());
        page.raw("</rect>");
    }
}

/// A span that was not recorded, to the end of the axis when it never came back.
fn hatched(page: &mut Html, view: &View<'_>, axis: &Axis, blind: &Blind, y: f64) {
    let from = axis.x(blind.from);
    let until = blind.until.map_or(RIGHT, |until| axis.x(until));
    let (top, tall) = (px(y + 8.0), px(ROW + PAD - 16.0));
    let width = (until - from).max(1.0);
    page.raw("<g><title>");
    page.text(&blind_sentence(blind, view.words, view.zone));
    page.raw("</title>");
    page.void("rect", &[("fill", "url(#hatch)"), ("x", &px(from)), ("y", &top), ("width", &px(width)), ("height", &tall)]);
    page.void("path", &[("class", "blind"), ("d", &format!("M{} {top}v{tall}", px(from)))]);
    if blind.until.is_some() {
        page.void("path", &[("class", "blind"), ("d", &format!("M{} {top}v{tall}", px(until)))]);
    }
    if width > 130.0 {
        let middle = px(from + width / 2.0);
        let line = px(y + (ROW + PAD) / 2.0 + 4.0);
        page.element(
            "text",
            &[("class", "halo"), ("x", &middle), ("y", &line), ("text-anchor", "middle")],
            &view.word("html.timeline.unrecorded"),
        );
    }
    page.raw("</g>\n");
}
