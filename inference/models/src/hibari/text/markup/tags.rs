//! Tags of HTML and XML, however badly they are written.

use std::borrow::Cow;

/// Attributes that are read of one tag.
const MOST_ATTRIBUTES: usize = 32;

/// What a text consists of.
#[derive(Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// Between tags, its entities still encoded.
    Text(&'t str),
    /// In a CDATA section.
    Raw(&'t str),
    /// A tag.
    Tag(Tag<'t>),
}

/// `<name …>`, `</name>` or `<name … />`.
#[derive(Debug, PartialEq)]
pub(super) struct Tag<'t> {
    /// As it stands in the text.
    pub(super) written: &'t str,
    /// In lower case.
    pub(super) name: String,
    pub(super) kind: Kind,
    attributes: Vec<(&'t str, Option<&'t str>)>,
}

/// What a tag does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Opens,
    Closes,
    /// Opens and closes at once.
    Empty,
}

impl<'t> Tag<'t> {
    /// The value of an attribute, decoded.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'t, str>> {
        let found = self.attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| *value).map(decoded)
    }

    /// Whether each of its attributes has a value.
    pub(super) fn has_values(&self) -> bool {
        self.attributes.iter().all(|(_, value)| value.is_some())
    }
}

/// Text with the characters that its entities stand for. Only those of HTML are
/// known: what a document declares itself stands for nothing.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    html_escape::decode_html_entities(text)
}

/// The tokens of a text. Comments, declarations and processing instructions are
/// left out, and so is a tag that the text ends in. A `<` that begins none of
/// these is text.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (token, after) = next(rest);
            rest = after;
            if token.is_some() {
                return token;
            }
        }
        None
    })
}

/// The first token, if it is not to be left out, and what follows it. Looks at
/// nothing beyond what it takes, so that all of a text takes time in proportion.
fn next(text: &str) -> (Option<Token<'_>>, &str) {
    if let Some(rest) = text.strip_prefix("<!--") {
        return (None, after(rest, "-->"));
    }
    if let Some(rest) = text.strip_prefix("<![CDATA[") {
        let inside = rest.split("]]>").next().unwrap_or_default();
        return (Some(Token::Raw(inside)), rest[inside.len()..].strip_prefix("]]>").unwrap_or_default());
    }
    if let Some(rest) = text.strip_prefix("<?") {
        return (None, after(rest, "?>"));
    }
    if text.starts_with("<!") {
        let end = text.find(['[', '>']).unwrap_or(text.len());
        let internal_subset = text[end..].starts_with('[');
        return (None, if internal_subset { after(&text[end..], "]>") } else { after(&text[end..], ">") });
    }
    if let Some((tag, rest)) = tag(text) {
        return (tag.map(Token::Tag), rest);
    }
    let first = text.chars().next().map_or(0, char::len_utf8);
    let end = text[first..].find('<').map_or(text.len(), |at| first + at);
    (Some(Token::Text(&text[..end])), &text[end..])
}

fn after<'t>(text: &'t str, end: &str) -> &'t str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// The tag that a text begins with, and what follows it. No tag but a rest where
/// a tag begins but does not end before the next one, or with the text.
fn tag(text: &str) -> Option<(Option<Tag<'_>>, &str)> {
    let inner = text.strip_prefix('<')?;
    let (closes, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_:.".contains(c);
    let name = &inner[..inner.find(|c| !is_name(c)).unwrap_or(inner.len())];
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return inner.is_empty().then_some((None, ""));
    }
    let mut rest = &inner[name.len()..];
    let mut attributes = Vec::new();
    let kind = loop {
        rest = rest.trim_start();
        match rest.chars().next() {
            None => return Some((None, "")),
            Some('<') => return Some((None, rest)),
            Some('>') => break if closes { Kind::Closes } else { Kind::Opens },
            Some('/') if rest[1..].starts_with('>') => {
                rest = &rest[1..];
                break Kind::Empty;
            }
            Some('/' | '=' | '"' | '\'') => rest = &rest[1..],
            Some(_) => {
                let (attribute, after) = attribute(rest);
                rest = after;
                if attributes.len() < MOST_ATTRIBUTES {
                    attributes.push(attribute);
                }
            }
        }
    };
    let rest = &rest[1..];
    let written = &text[..text.len() - rest.len()];
    Some((Some(Tag { written, name: name.to_ascii_lowercase(), kind, attributes }), rest))
}

type Attribute<'t> = (&'t str, Option<&'t str>);

/// The attribute that a text begins with, and what follows it.
fn attribute(text: &str) -> (Attribute<'_>, &str) {
    let ends_name = |c: char| c.is_whitespace() || "=<>/\"'".contains(c);
    let name = &text[..text.find(ends_name).unwrap_or(text.len())];
    let rest = text[name.len()..].trim_start();
    let Some(value) = rest.strip_prefix('=') else { return ((name, None), &text[name.len()..]) };
    let value = value.trim_start();
    let quote = value.chars().next().filter(|c| "\"'".contains(*c));
    let Some(quote) = quote else {
        let end = value.find(|c: char| c.is_whitespace() || "<>".contains(c)).unwrap_or(value.len());
        let end = if value[..end].ends_with('/') && value[end..].starts_with('>') { end - 1 } else { end };
        return ((name, Some(&value[..end])), &value[end..]);
    };
    // No value has a "<": whoever has forgotten to close one does not lose all
    // that follows.
    let value = &value[1..];
    let end = value.find([quote, '<']).unwrap_or(value.len());
    let rest = value[end..].strip_prefix(quote).unwrap_or(&value[end..]);
    ((name, Some(&value[..end])), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts as they are, tags as their names.
    fn seen(text: &str) -> Vec<String> {
        let seen = tokens(text).map(|token| match token {
            Token::Text(text) => format!("text {text}"),
            Token::Raw(text) => format!("raw {text}"),
            Token::Tag(Tag { name, kind, .. }) => format!("{kind:?} {name}"),
        });
        seen.collect()
    }

    #[test]
    fn tags_and_what_is_between_them_are_told_apart() {
        assert_eq!(
            seen("a<B>b</b ><br/>c <x:y d='1>2'/>"),
            ["text a", "Opens b", "text b", "Closes b", "Empty br", "text c ", "Empty x:y"]
        );
        assert_eq!(seen("5 < 6 <3 é"), ["text 5 ", "text < 6 ", "text <3 é"]);
    }

    #[test]
    fn what_is_not_for_listeners_is_left_out() {
        assert_eq!(seen("<?xml v?><!-- <b> -->a<!DOCTYPE html>b"), ["text a", "text b"]);
        assert_eq!(seen("<!DOCTYPE l [<!ENTITY a \"b\"><!ENTITY c \"&a;\">]>d"), ["text d"]);
        assert_eq!(seen("a<![CDATA[1 < 2 & 3]]>b"), ["text a", "raw 1 < 2 & 3", "text b"]);
    }

    #[test]
    fn what_a_text_ends_in_is_no_tag() {
        for cut in ["a<", "a</", "a<b", "a</b", "a<b c=\"d", "a<b c", "a<!-- ", "a<?x"] {
            assert_eq!(seen(cut), ["text a"], "{cut}");
        }
        assert_eq!(seen("a<![CDATA[b"), ["text a", "raw b"]);
    }

    #[test]
    fn a_tag_that_is_not_closed_ends_with_the_next_one() {
        assert_eq!(seen("<sub alias=\"x>y</sub>z<b <i>w"), ["Closes sub", "text z", "Opens i", "text w"]);
    }

    #[test]
    fn attributes_are_found_however_they_are_written() {
        let text = "<t a=\"1 &amp; 2\" B = '3' c=4 d e=5/>";
        let Some(Token::Tag(tag)) = tokens(text).next() else { panic!("no tag") };
        assert_eq!((tag.written, tag.kind), (text, Kind::Empty));
        let value = |name| tag.attribute(name).map(Cow::into_owned);
        assert_eq!(value("a").as_deref(), Some("1 & 2"));
        assert_eq!([value("b"), value("c"), value("e")], ["3", "4", "5"].map(|value| Some(value.to_owned())));
        assert_eq!((value("d"), value("f"), tag.has_values()), (None, None, false));
    }
}
