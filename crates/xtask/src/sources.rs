//! House rules on Rust sources: headers, ASCII, sizes, and no vendor's name outside its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

use crate::Report;

/// Longest function and longest file, in lines.
const FUNCTION_LINES_MAX: usize = 70;
/// See [`FUNCTION_LINES_MAX`].
const FILE_LINES_MAX: usize = 700;
/// What is longer already, and may only shrink: place and lines.
const RATCHET: &str = "crates/xtask/ratchet.tsv";

/// Every Rust file of the tree, by its path from the root.
fn rust_files(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut waiting: Vec<PathBuf> =
        ["crates", "tests", "benches", "fuzz/src", "fuzz/targets"].iter().map(|name| root.join(name)).collect();
    while let Some(path) = waiting.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            waiting.extend(entries.flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && let (Ok(text), Ok(name)) = (fs::read_to_string(&path), path.strip_prefix(root))
        {
            files.push((name.to_string_lossy().replace('\\', "/"), text));
        }
    }
    files.sort();
    files
}

/// Checks every source.
pub(crate) fn check(root: &Path, report: &mut Report) {
    let vendors = vendors(root);
    let mut sizes = BTreeMap::new();
    for (name, text) in rust_files(root) {
        if !text.starts_with("//! ") {
            report.say(format!("{name}:1: begins without a `//!` sentence that says what it is"));
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_ascii()) {
            report.say(format!("{name}:{}: is not ASCII: write \\u{{...}}: {line}", number + 1));
        }
        match syn::parse_file(&text) {
            Ok(file) => {
                measure(&name, &text, &file, &mut sizes);
                if name.starts_with("crates/") && !is_test_file(&name) && !name.starts_with("crates/xtask/") {
                    vendor_names(&name, &file, &vendors, report);
                }
            }
            Err(error) => report.say(format!("{name}: does not parse: {error}")),
        }
    }
    compare(root, &sizes, report);
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

struct Functions<'a> {
    file: &'a str,
    sizes: &'a mut BTreeMap<String, usize>,
}

impl Functions<'_> {
    fn note(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.brace_token.span;
        let lines = span.close().end().line - span.open().start().line + 1;
        if lines > FUNCTION_LINES_MAX {
            self.sizes.insert(format!("{}::{name}", self.file), lines);
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig.ident, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig.ident, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }
}

fn measure(name: &str, text: &str, file: &syn::File, sizes: &mut BTreeMap<String, usize>) {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        sizes.insert(name.to_owned(), lines);
    }
    Functions { file: name, sizes }.visit_file(file);
}

fn ratchet(root: &Path) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(root.join(RATCHET)).unwrap_or_default();
    let row = |line: &str| line.split_once('\t').and_then(|(place, lines)| Some((place.to_owned(), lines.parse().ok()?)));
    text.lines().skip(1).filter_map(row).collect()
}

fn compare(root: &Path, sizes: &BTreeMap<String, usize>, report: &mut Report) {
    let known = ratchet(root);
    for (place, lines) in sizes {
        match known.get(place) {
            Some(allowed) if lines <= allowed => {}
            Some(allowed) => report.say(format!("{place}: grew from {allowed} to {lines} lines; it may only shrink")),
            None => report
                .say(format!("{place}: has {lines} lines; a function may have {FUNCTION_LINES_MAX}, a file {FILE_LINES_MAX}")),
        }
    }
    for place in known.keys().filter(|place| !sizes.contains_key(*place)) {
        report.say(format!("{place}: is short enough now; take it out of {RATCHET}"));
    }
}

/// Writes the ratchet anew from what is there.
pub(crate) fn write_ratchet(root: &Path) -> ExitCode {
    let mut sizes = BTreeMap::new();
    for (name, text) in rust_files(root) {
        if let Ok(file) = syn::parse_file(&text) {
            measure(&name, &text, &file, &mut sizes);
        }
    }
    let rows: String = sizes.iter().map(|(place, lines)| format!("{place}\t{lines}\n")).collect();
    match fs::write(root.join(RATCHET), format!("place\tlines\n{rows}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{RATCHET}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Folders of vendors whose names are a standard that the product speaks, or a common word.
const COMMON: [&str; 3] = ["generic", "ocsf", "windows"];

/// Names of the vendors: the folders of `content/vendors`.
fn vendors(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("content/vendors")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !COMMON.contains(&name.as_str())).collect()
}

/// Finds vendor names in identifiers and strings, tests and comments apart.
fn vendor_names(name: &str, file: &syn::File, vendors: &[String], report: &mut Report) {
    let own = |vendor: &&String| name.starts_with(&format!("crates/connect/src/{vendor}/"));
    let vendors: Vec<&String> = vendors.iter().filter(|vendor| !own(vendor)).collect();
    for item in &file.items {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            _ => &Vec::new(),
        };
        let is_test = attributes.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("test"))
        });
        if !is_test {
            let tokens: TokenStream = quote_item(item);
            look(name, tokens, &vendors, report);
        }
    }
}

fn quote_item(item: &syn::Item) -> TokenStream {
    let mut tokens = TokenStream::new();
    quote::ToTokens::to_tokens(item, &mut tokens);
    tokens
}

/// Names of libraries that hold a vendor's name.
const LIBRARIES: [&str; 1] = ["aws_lc_rs"];

fn look(name: &str, tokens: TokenStream, vendors: &[&String], report: &mut Report) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            // Attributes, doc comments among them, are for people.
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                tokens.next_if(|next| matches!(next, TokenTree::Group(_)));
            }
            TokenTree::Group(group) => look(name, group.stream(), vendors, report),
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                let text = token.to_string();
                let is_number = text.starts_with(|c: char| c.is_ascii_digit());
                let is_library = LIBRARIES.contains(&text.as_str());
                if let Some(vendor) = vendors.iter().find(|vendor| !is_number && !is_library && names(&text, vendor)) {
                    let line = token.span().start().line;
                    report.say(format!("{name}:{line}: names the vendor `{vendor}` in {text}; vendors stand in content/vendors"));
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// Whether a word of a text is the vendor's name.
fn names(text: &str, vendor: &str) -> bool {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == vendor)
}
