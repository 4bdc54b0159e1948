//! Markdown, as programs write it: what marks words goes, and leaves the pauses
//! that a reader would see.
//!
//! Most texts are none. What CommonMark takes for a mark and people mean as a
//! sign ("2*3*4", "1. First", "[Ann]: Hello") stays as it is written.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{html, script::Writer};

/// Signs without which no mark is made within a line.
const MARKS: [u8; 9] = *b"*`[<&#|\\~";
/// What fenced blocks of ordinary text are called.
const TEXT: [&str; 4] = ["", "plaintext", "text", "txt"];
/// What they are called where it is Markdown again.
const MARKDOWN: [&str; 2] = ["md", "markdown"];
/// What is said instead of a program.
const PROGRAM: &str = "Code block.";

/// Whether a text may have marks. Says no to most texts, at the price of a look.
pub(super) fn is_likely(text: &str) -> bool {
    let begins_line = |line: &str| {
        let line = line.trim_start_matches([' ', '\t']);
        line.starts_with(|c: char| "-+=>_".contains(c) || c.is_ascii_digit())
    };
    text.bytes().any(|byte| MARKS.contains(&byte)) || text.contains('_') || text.lines().any(begins_line)
}

/// Writes the words of a text.
pub(super) fn write(text: &str, writer: &mut Writer) {
    write_at(Level::Text, text, writer);
}

/// Where Markdown stands. In a fence within a fence it is not looked for.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Text,
    Fence,
}

fn write_at(level: Level, text: &str, writer: &mut Writer) {
    let text = &without_false_definitions(text);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut reader = Reader { level, text, writer, block: Block::Words, gathered: String::new() };
    for (event, place) in Parser::new_ext(text, options).into_offset_iter() {
        reader.event(event, place);
    }
}

/// "[Ann]: Hello" is no link for later, and must not go.
fn without_false_definitions(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let address = line.trim_start().starts_with('[').then(|| line.split_once("]:")).flatten();
        match address {
            Some((label, address)) if !is_address(address.trim_start()) => {
                kept.push_str(label);
                kept.push_str("]\\:");
                kept.push_str(address);
            }
            _ => kept.push_str(line),
        }
    }
    kept
}

fn is_address(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.starts_with(['/', '#', '<'])
        || word.contains("://")
        || ["www.", "mailto:"].iter().any(|start| word.starts_with(start))
}

struct Reader<'t, 'w> {
    level: Level,
    text: &'t str,
    writer: &'w mut Writer,
    block: Block,
    /// What is in the block, where it is read as a whole.
    gathered: String,
}

/// What kind of block is being read.
#[derive(PartialEq)]
enum Block {
    Words,
    Program,
    Html,
    Markdown,
}

impl Reader<'_, '_> {
    fn event(&mut self, event: Event<'_>, place: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, place),
            Event::End(tag) => self.end(tag, place),
            Event::Html(text) | Event::Text(text) if matches!(self.block, Block::Html | Block::Markdown) => {
                self.gathered.push_str(&text);
            }
            Event::Text(_) if self.block == Block::Program => {}
            Event::Text(text) | Event::Code(text) => self.writer.words(&text),
            Event::Html(text) | Event::InlineHtml(text) => html::write(&text, self.writer),
            Event::SoftBreak | Event::HardBreak => self.writer.words("\n"),
            Event::Rule => self.writer.end_paragraph(),
            Event::TaskListMarker(_) => {}
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.writer.words(&text);
            }
        }
    }

    fn start(&mut self, tag: &Tag<'_>, place: Range<usize>) {
        match tag {
            Tag::Heading { .. } | Tag::List(_) | Tag::Table(_) => self.writer.end_sentence(),
            Tag::Item => self.write_marker(&place),
            Tag::CodeBlock(kind) => self.start_code(kind),
            Tag::HtmlBlock => self.block = Block::Html,
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough => {
                let mark = self.kept_mark(tag.to_end(), &place);
                self.writer.words(mark);
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, place: Range<usize>) {
        match tag {
            TagEnd::Paragraph => self.writer.end_paragraph(),
            TagEnd::Heading(_) | TagEnd::Item | TagEnd::TableHead | TagEnd::TableRow => {
                self.writer.end_sentence()
            }
            TagEnd::TableCell => self.writer.end_cell(),
            TagEnd::CodeBlock | TagEnd::HtmlBlock => {
                let gathered = std::mem::take(&mut self.gathered);
                match std::mem::replace(&mut self.block, Block::Words) {
                    Block::Html => html::write(&gathered, self.writer),
                    Block::Markdown => write_at(Level::Fence, &gathered, self.writer),
                    Block::Words | Block::Program => {}
                }
                self.writer.end_paragraph();
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                let mark = self.kept_mark(tag, &place);
                self.writer.words(mark);
            }
            _ => {}
        }
    }

    fn start_code(&mut self, kind: &CodeBlockKind<'_>) {
        self.writer.end_paragraph();
        let CodeBlockKind::Fenced(info) = kind else { return };
        let language = info.split([' ', ',', '{']).next().unwrap_or_default().to_ascii_lowercase();
        let is_markdown = MARKDOWN.contains(&language.as_str());
        if is_markdown && self.level == Level::Text {
            self.block = Block::Markdown;
        } else if !is_markdown && !TEXT.contains(&language.as_str()) {
            self.writer.end_sentence();
            self.writer.said(PROGRAM);
            self.block = Block::Program;
        }
    }

    /// Reads an item's number, and a plus that stands before one.
    fn write_marker(&mut self, place: &Range<usize>) {
        let item = self.text[place.clone()].trim_start();
        let digits = item.len() - item.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let is_sum =
            item.strip_prefix("+ ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if let (1.., Some(marker)) = (digits, item.get(..=digits)) {
            self.writer.words(marker);
            self.writer.words(" ");
        } else if is_sum {
            self.writer.words("+ ");
        }
    }

    /// The marks around words, if they are more likely signs between them.
    fn kept_mark(&self, tag: TagEnd, place: &Range<usize>) -> &'static str {
        let before = self.text[..place.start].chars().next_back();
        let after = self.text[place.end..].chars().next();
        let touches = |is: fn(char) -> bool| before.is_some_and(is) || after.is_some_and(is);
        match tag {
            TagEnd::Emphasis if touches(char::is_alphanumeric) => "*",
            TagEnd::Strong if touches(char::is_numeric) => "**",
            TagEnd::Strikethrough if !self.text[place.start..].starts_with("~~") => "~",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hibari::text::markup::Part;

    fn written(text: &str) -> String {
        let mut writer = Writer::default();
        write(text, &mut writer);
        match writer.finish().parts.as_slice() {
            [] => String::new(),
            [Part::Words { text, rate: 1.0 }] => text.clone(),
            parts => panic!("{text}: {parts:?}"),
        }
    }

    #[test]
    fn marks_go_and_leave_the_pauses_that_a_reader_would_see() {
        for (text, expected) in [
            ("## Summary\nIt works.", "Summary.\n\nIt works."),
            ("Title\n=====\nText", "Title.\n\nText"),
            ("some **bold**, *soft*, ***both*** and ~~old~~ words", "some bold, soft, both and old words"),
            ("run `cargo test` now", "run cargo test now"),
            ("To buy:\n- milk\n- eggs\n  * brown\n+ tea", "To buy:\n\nmilk.\n\neggs.\n\nbrown.\n\ntea"),
            ("1. First\n2. Second", "1. First.\n\n2. Second"),
            ("- [x] done\n- [ ] open", "done.\n\nopen"),
            ("> quoted\n> text\n\nmine", "quoted\ntext\n\nmine"),
            ("| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | |", "a, b.\n\n1, 2.\n\n3"),
            ("[the docs](https://x.org \"t\") and ![a cat](c.png)", "the docs and a cat"),
            ("see [it][1]\n\n[1]: https://example.org", "see it"),
            ("one\n\n---\n\ntwo", "one\n\ntwo"),
            ("a <b>b</b>&nbsp;&amp; c<br>d", "a b\u{a0}& c\nd"),
            ("a \\*b\\* c", "a *b* c"),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn programs_are_announced_and_texts_in_a_fence_are_read() {
        assert_eq!(written("Run:\n```python\nprint(1)\n```\nDone."), "Run:\n\nCode block.\n\nDone.");
        assert_eq!(written("```\nDear Ann,\nhello\n```"), "Dear Ann,\nhello\n");
        assert_eq!(written("```markdown\n# Hi\n*Ann*\n```"), "Hi.\n\nAnn");
        assert_eq!(written("It is\n```rust\nfn main() {"), "It is.\n\nCode block.");
    }

    #[test]
    fn signs_that_people_mean_are_kept() {
        for kept in [
            "a * b",
            "2*3*4 is 24",
            "2**3**4",
            "x * y * z",
            "snake_case_name",
            "C# and F#",
            "#1 of 5",
            "#hashtag",
            "5 < 6 & 7 > 6",
            "AT&T",
            "Vec<T> is generic",
            "a <b and c> d",
            "1. First",
            "1986. A great year.",
            "+ 5 points",
            "-5 degrees",
            "~5 to ~10, ~7~",
            "[Ann]: Hello",
            "[1] says so",
            "f(x) = [y]",
            "a | b",
            "Price*",
            "*not closed",
            "C:\\Users\\ann",
            "https://example.org/a_b_c?d=e",
            "(c) 2026",
            "5 * 3 = 15",
            "Ann: hi\nBob: ho",
            "A line\nthat goes on.",
            "<think>",
            "\\u{e9}",
        ] {
            assert_eq!(written(kept), kept);
        }
    }

    #[test]
    fn most_texts_are_not_even_looked_at() {
        for plain in
            ["Hello there.\nHow are you?", "It's 5 o'clock - nearly (or so).", "Well... a/b, “c”; d: e = f!"]
        {
            assert!(!is_likely(plain), "{plain}");
        }
        for marked in
            ["# a", "*a*", "- a", "b\n1. a", "a_b", "> a", "a\n===", "&amp;", "[pause:1s]", "~~a~~", "`a`"]
        {
            assert!(is_likely(marked), "{marked}");
        }
    }
}
