//! Markup with every text escaped: nothing from logs becomes an element or an attribute.

use crate::escape::printable;

/// Longest word that is kept on one line.
const WHOLE_BYTES_MAX: usize = 24;

/// Attributes of an element: names are literals, values are escaped.
pub(crate) type Attributes<'a> = [(&'static str, &'a str)];

/// A growing document. Only literals become markup; everything else goes through one escape.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Text.
    pub(crate) fn text(&mut self, text: &str) {
        self.escaped(text);
    }

    /// The start of an element.
    pub(crate) fn open(&mut self, tag: &'static str, attributes: &Attributes<'_>) {
        self.start(tag, attributes);
        self.0.push('>');
    }

    /// The end of an element.
    pub(crate) fn close(&mut self, tag: &'static str) {
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
    }

    /// An element without content: a shape of a drawing, a `meta`.
    pub(crate) fn void(&mut self, tag: &'static str, attributes: &Attributes<'_>) {
        self.start(tag, attributes);
        self.0.push_str("/>");
    }

    /// An element that holds one text.
    pub(crate) fn element(&mut self, tag: &'static str, attributes: &Attributes<'_>, text: &str) {
        self.open(tag, attributes);
        self.escaped(text);
        self.close(tag);
    }

    /// An element that holds one sentence; dates, regions and short ids stay on one line.
    pub(crate) fn prose(&mut self, tag: &'static str, attributes: &Attributes<'_>, text: &str) {
        self.open(tag, attributes);
        for (number, word) in text.split(' ').enumerate() {
            if number > 0 {
                self.0.push(' ');
            }
            if word.contains(['-', '\u{2026}']) && word.len() <= WHOLE_BYTES_MAX {
                self.element("span", &[("class", "nowrap")], word);
            } else {
                self.escaped(word);
            }
        }
        self.close(tag);
    }

    /// Markup written here, never made of values.
    pub(crate) fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// The document.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn start(&mut self, tag: &'static str, attributes: &Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            if value.is_empty() && *name == "class" {
                continue;
            }
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.escaped(value);
            self.0.push('"');
        }
    }

    /// The one way of a value into the document.
    fn escaped(&mut self, text: &str) {
        for c in printable(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_stay_whole() {
        let mut page = Html::default();
        page.prose("p", &[], "from 2026-11-12 <b-1>  on");
        let whole = |word: &str| format!("<span class=\"nowrap\">{word}</span>");
        assert_eq!(page.finish(), format!("<p>from {} {}  on</p>", whole("2026-11-12"), whole("&lt;b-1&gt;")));
    }

    #[test]
    fn values_never_become_markup() {
        let mut page = Html::default();
        page.element("td", &[("class", ""), ("title", "\"><script>")], "</td><img src=x onerror='a()'>\u{202E}\n&");
        assert_eq!(
            page.finish(),
            "<td title=\"&quot;&gt;&lt;script&gt;\">&lt;/td&gt;&lt;img src=x onerror=&#39;a()&#39;&gt;\\u{202e}\\u{a}&amp;</td>"
        );
    }
}
