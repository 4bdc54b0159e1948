//! A tree in the terminal, with columns.

use anstyle::{AnsiColor, Style};

/// How something is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// Waiting for somebody.
    Waiting,
    /// Not as it should be.
    Bad,
}

/// A line, and those below it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    name: String,
    status: Option<(Mark, String)>,
    age: String,
    info: String,
    children: Vec<Row>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(crate) fn status(mut self, mark: Mark, text: impl Into<String>) -> Self {
        self.status = Some((mark, text.into()));
        self
    }

    pub(crate) fn age(mut self, age: impl Into<String>) -> Self {
        self.age = age.into();
        self
    }

    pub(crate) fn info(mut self, info: impl Into<String>) -> Self {
        self.info = info.into();
        self
    }

    pub(crate) fn with(mut self, children: impl IntoIterator<Item = Row>) -> Self {
        self.children.extend(children);
        self
    }
}

/// A mark and words, coloured.
pub(crate) fn marked(mark: Mark, text: &str) -> String {
    let style = mark.style();
    format!("{style}{} {text}{style:#}", mark.glyph())
}

impl Mark {
    fn glyph(self) -> char {
        match self {
            Self::Good => '✔',
            Self::Busy => '◌',
            Self::Waiting => '‖',
            Self::Bad => '✖',
        }
    }

    fn style(self) -> Style {
        let colour = match self {
            Self::Good => AnsiColor::Green,
            Self::Busy => AnsiColor::Cyan,
            Self::Waiting => AnsiColor::Yellow,
            Self::Bad => AnsiColor::Red,
        };
        colour.on_default()
    }
}

/// A line as it is laid out.
struct Line<'a> {
    /// Branches and name.
    first: String,
    row: &'a Row,
}

/// Writes trees one below the other, their columns in line.
pub(crate) fn render(roots: &[Row]) -> String {
    let mut lines = Vec::new();
    for root in roots {
        lines.push(Line { first: root.name.clone(), row: root });
        branch(&root.children, "", &mut lines);
    }
    let width = |text: &str| text.chars().count();
    let first = lines.iter().map(|line| width(&line.first)).max().unwrap_or(0).max(4);
    let status = lines.iter().filter_map(|line| line.row.status.as_ref());
    let status = status.map(|(_, text)| width(text) + 2).max().unwrap_or(0).max(6);
    let age = lines.iter().map(|line| width(&line.row.age)).max().unwrap_or(0).max(3);

    let bold = Style::new().bold();
    let mut text = format!("{bold}{:first$}  {:status$}  {:age$}  INFO{bold:#}\n", "NAME", "STATUS", "AGE");
    for Line { first: name, row } in lines {
        let mut line = format!("{name:first$}  ");
        let written = row.status.as_ref().map_or(0, |(mark, words)| {
            line.push_str(&marked(*mark, words));
            width(words) + 2
        });
        line.extend(std::iter::repeat_n(' ', status - written));
        line.push_str(&format!("  {:age$}  {}", row.age, row.info));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn branch<'a>(rows: &'a [Row], before: &str, lines: &mut Vec<Line<'a>>) {
    for (index, row) in rows.iter().enumerate() {
        let last = index + 1 == rows.len();
        let (fork, below) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
        lines.push(Line { first: format!("{before}{fork}{}", row.name), row });
        branch(&row.children, &format!("{before}{below}"), lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_and_columns_are_in_line() {
        let leaf = |name: &str| Row::new(name).status(Mark::Good, "Ready").age("5m");
        let tree = Row::new("root").with([
            Row::new("first").with([leaf("a"), leaf("b").info("last of its branch")]),
            Row::new("second").status(Mark::Waiting, "Paused"),
        ]);
        let plain = anstream::adapter::strip_str(&render(&[tree])).to_string();
        insta::assert_snapshot!(plain, @r"
        NAME        STATUS    AGE  INFO
        root
        ├── first
        │   ├── a   ✔ Ready   5m
        │   └── b   ✔ Ready   5m   last of its branch
        └── second  ‖ Paused
        ");
    }
}
