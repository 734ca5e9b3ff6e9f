//! Tables: named, headed, and scrolled in a box of their own.

use std::collections::BTreeMap;

use crate::html::page::Html;
use crate::html::view::View;
use crate::story::NAMES_MAX;

/// Rows of one table; further ones are counted.
const ROWS_MAX: usize = 3_000;

/// Starts a table; each column is the key of its label and its class.
pub(crate) fn open(page: &mut Html, view: &View<'_>, caption: &str, columns: &[(&str, &'static str)]) {
    page.open("div", &[("class", "scroll"), ("role", "group"), ("tabindex", "0"), ("aria-label", caption)]);
    page.open("table", &[("aria-label", caption)]);
    page.raw("<thead><tr>");
    for (key, class) in columns {
        page.element("th", &[("scope", "col"), ("class", *class)], &view.word(key));
    }
    page.raw("</tr></thead>\n");
}

/// Ends a table; `hidden` rows were left out.
pub(crate) fn close(page: &mut Html, view: &View<'_>, hidden: usize) {
    page.raw("</table></div>\n");
    if hidden > 0 {
        page.element("p", &[("class", "note")], &view.counted("html.rows.more", hidden as u64));
    }
}

/// A cell with one text.
pub(crate) fn cell(page: &mut Html, class: &'static str, text: &str) {
    page.element("td", &[("class", class)], text);
}

/// The first cell of a row, which names the row.
pub(crate) fn head_cell(page: &mut Html, class: &'static str, text: &str) {
    page.prose("th", &[("scope", "row"), ("class", class)], text);
}

/// The rows that fit, and how many do not.
pub(crate) fn limited<T>(rows: &[T]) -> (&[T], usize) {
    let shown = rows.get(..ROWS_MAX).unwrap_or(rows);
    (shown, rows.len() - shown.len())
}

/// A table of names and how often each was met, most frequent first; `column` is the key of what one is.
pub(crate) fn names(page: &mut Html, view: &View<'_>, title: &str, column: &str, names: &BTreeMap<String, u64>) {
    if names.is_empty() {
        return;
    }
    let mut rows: Vec<(&String, &u64)> = names.iter().collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let (shown, hidden) = limited(&rows);
    let caption = view.word(title);
    page.raw("<div>");
    page.element("h3", &[], &caption);
    open(page, view, &caption, &[(column, ""), ("html.column.findings", "num")]);
    page.raw("<tbody>");
    for (name, count) in shown {
        page.raw("<tr>");
        head_cell(page, "id wide", name);
        cell(page, "num", &view.number(**count));
        page.raw("</tr>\n");
    }
    page.raw("</tbody>");
    close(page, view, hidden);
    if names.len() >= NAMES_MAX {
        page.element("p", &[("class", "note")], &view.counted("html.names.first", NAMES_MAX as u64));
    }
    page.raw("</div>\n");
}
