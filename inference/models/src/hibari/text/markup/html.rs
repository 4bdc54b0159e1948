//! HTML among words: its tags go, and leave the pauses that a reader would see.

use super::{
    script::Writer,
    tags::{self, Kind, Tag, Token},
};

/// Elements that begin and end on lines of their own.
const BLOCKS: [&str; 33] = [
    "article",
    "aside",
    "blockquote",
    "body",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "li",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tr",
    "ul",
];
/// Elements that are part of a line or of no line, those of SSML among them.
/// Any other name in angle brackets is somebody's own, as in `Vec<T>`, and is
/// read as it is written.
const INLINE: [&str; 45] = [
    "a", "abbr", "acronym", "audio", "b", "bdi", "bdo", "big", "break", "cite", "code", "del", "dfn", "em",
    "emphasis", "font", "i", "img", "ins", "kbd", "mark", "phoneme", "prosody", "q", "s", "samp", "say-as",
    "script", "small", "span", "speak", "strike", "strong", "style", "sub", "sup", "tbody", "tfoot", "thead",
    "tt", "u", "var", "video", "voice", "wbr",
];
/// Elements whose content is not for readers.
const MUTE: [&str; 2] = ["script", "style"];

/// Writes the words of a piece of HTML.
pub(super) fn write(html: &str, writer: &mut Writer) {
    let mut mute: Option<String> = None;
    for token in tags::tokens(html) {
        match (token, &mute) {
            (Token::Tag(tag), Some(name)) if tag.kind == Kind::Closes && tag.name == *name => mute = None,
            (_, Some(_)) => {}
            (Token::Text(text) | Token::Raw(text), None) => writer.words(&tags::decoded(text)),
            (Token::Tag(tag), None) => {
                if tag.kind == Kind::Opens && MUTE.contains(&tag.name.as_str()) {
                    mute = Some(tag.name);
                } else {
                    write_tag(&tag, writer);
                }
            }
        }
    }
}

fn write_tag(tag: &Tag<'_>, writer: &mut Writer) {
    let name = tag.name.as_str();
    if !tag.has_values() {
        // "a <b and c> d" compares.
        writer.words(tag.written);
    } else if BLOCKS.contains(&name) {
        writer.end_sentence();
    } else if matches!(name, "td" | "th") {
        writer.end_cell();
    } else if name == "br" {
        writer.words("\n");
    } else if let ("img", Some(instead)) = (name, tag.attribute("alt")) {
        writer.words(&instead);
    } else if !INLINE.contains(&name) {
        writer.words(tag.written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hibari::text::markup::Part;

    #[track_caller]
    fn written(html: &str, expected: &str) {
        let mut writer = Writer::default();
        write(html, &mut writer);
        let expected = Part::Words { text: expected.to_owned(), rate: 1.0 };
        assert_eq!(writer.finish().parts, [expected], "{html}");
    }

    #[test]
    fn tags_leave_pauses_and_entities_are_decoded() {
        written("<p>One &amp; <b class=x>two</b></p><p>three</p>", "One & two.\n\nthree");
        written("<table><tr><th>a<th>b</tr><tr><td>1</td><td>2</td></tr></table>", "a, b.\n\n1, 2");
        written("so<br/>on <img alt='a cat'>", "so\non a cat");
        written("<style>p { x }</style>a<script>b < c</script>", "a");
    }

    #[test]
    fn what_is_no_html_is_kept() {
        for kept in ["Vec<T>", "a <b and c> d", "5 < 6 > 3", "<think>", "</foo>"] {
            written(kept, kept);
        }
    }
}
