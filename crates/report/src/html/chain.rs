//! Who acts through whom, outermost first, each link with the event that proves it.

use vigie_estate::Step;
use vigie_model::{LinkKind, Principal};

use crate::html::page::Html;
use crate::html::view::View;
use crate::story::{Thread, name_of, short, sure_key};
use crate::text::middle;

/// Credentials shown that the lead came to.
const THROUGH_MAX: usize = 12;

/// The chain of a thread; nothing when the records name nobody else.
pub(crate) fn chain(page: &mut Html, view: &View<'_>, thread: &Thread) {
    if thread.behind.is_empty() && thread.through.is_empty() {
        return;
    }
    page.element("h3", &[], &view.word("html.chain.title"));
    page.raw("<ol class=\"chain\">");
    for (index, step) in thread.behind.iter().enumerate().rev() {
        link(page, view, &step.by, thread.behind.get(index + 1), "");
    }
    link(page, view, &thread.lead, thread.behind.first(), "here");
    for (principal, step) in thread.through.iter().take(THROUGH_MAX) {
        link(page, view, principal, Some(step), "");
    }
    page.raw("</ol>\n");
    let hidden = thread.through.len().saturating_sub(THROUGH_MAX);
    if hidden > 0 {
        page.element("p", &[("class", "note")], &view.counted("html.more", hidden as u64));
    }
}

fn link(page: &mut Html, view: &View<'_>, principal: &Principal, step: Option<&Step>, class: &'static str) {
    page.open("li", &[("class", class)]);
    page.element("b", &[], short(&name_of(principal)));
    let id = if principal.credential.is_empty() { &principal.uid } else { &principal.credential };
    page.element("span", &[("class", "id")], id);
    match step {
        None => page.element("p", &[], &view.word("html.chain.named")),
        Some(step) => {
            let key = match step.kind {
                LinkKind::Created => "html.chain.created",
                LinkKind::Assumed => "html.chain.assumed",
                LinkKind::Acted => "html.chain.acted",
                LinkKind::Same => "html.chain.same",
            };
            let by = by_of(&step.by);
            page.prose("p", &[], &view.label(key, &[("time", &view.zone.minute(step.occurred)), ("by", &by)]));
            page.open("p", &[("class", "proof")]);
            page.text(&view.word("html.chain.proof"));
            page.text(" ");
            page.element("span", &[("class", "id")], &step.event_uid);
            page.text(" ");
            page.text(&view.label("html.chain.log", &[("log", &step.log), ("how", &view.word(sure_key(step)))]));
            page.close("p");
        }
    }
    page.close("li");
}

/// A name, and the credential where there is one: several credentials of one name stay apart.
fn by_of(principal: &Principal) -> String {
    let name = short(&name_of(principal)).to_owned();
    if principal.credential.is_empty() || principal.credential == name {
        return name;
    }
    format!("{name} ({})", middle(&principal.credential))
}
