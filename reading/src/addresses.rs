//! Reading web and mail addresses, and telephone numbers.

/// Endings of host names that are said as words; the other short ones are
/// spelled.
const SPOKEN_ENDINGS: [&str; 9] = ["com", "org", "net", "gov", "biz", "dev", "app", "mil", "pro"];
const MAX_SPELLED: usize = 3;

/// "example dot com slash path", and the punctuation after the address.
pub fn web(address: &str) -> String {
    let trimmed =
        address.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '\'', '’', '*', '_']);
    let after = &address[trimmed.len()..];
    let bare = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest).trim_end_matches('/');
    let (host, path) = bare.split_at(bare.find(['/', '?', '#', ':']).unwrap_or(bare.len()));
    format!("{}{}{after}", host_name(host), signs(path))
}

/// "john dot doe at example dot com".
pub fn mail(address: &str) -> String {
    let (user, host) = address.rsplit_once('@').unwrap_or((address, ""));
    format!("{} at {}", signs(user).trim(), host_name(host))
}

fn host_name(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    let said = labels.iter().enumerate().map(|(index, label)| {
        let letters = label.chars().all(char::is_alphabetic);
        let ending = index > 0 && index + 1 == labels.len();
        let short = label.chars().count() <= MAX_SPELLED;
        let spelled = ending && short && !SPOKEN_ENDINGS.contains(&label.to_lowercase().as_str());
        if letters && (spelled || label.eq_ignore_ascii_case("www")) {
            // Between full stops letters are spelled, not read as a word.
            label.chars().map(|letter| letter.to_string()).collect::<Vec<_>>().join(".").to_uppercase()
        } else {
            signs(label)
        }
    });
    said.map(|label| label.trim().to_owned()).collect::<Vec<_>>().join(" dot ")
}

/// Names the signs of an address.
pub fn signs(part: &str) -> String {
    let mut said = String::new();
    for c in part.chars() {
        match c {
            '.' => said.push_str(" dot "),
            '/' => said.push_str(" slash "),
            '-' => said.push_str(" dash "),
            '_' => said.push_str(" underscore "),
            '?' => said.push_str(" question mark "),
            '=' => said.push_str(" equals "),
            '&' => said.push_str(" and "),
            '+' => said.push_str(" plus "),
            '%' => said.push_str(" percent "),
            '#' => said.push_str(" hash "),
            ':' => said.push_str(" colon "),
            '~' => said.push_str(" tilde "),
            '@' => said.push_str(" at "),
            _ if c.is_alphanumeric() => said.push(c),
            _ => said.push(' '),
        }
    }
    said
}

/// Digit by digit, a pause where the number is written with a gap.
pub fn telephone(number: &str) -> String {
    let plus = if number.starts_with('+') { "plus " } else { "" };
    let groups = number.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
    format!("{plus}{}", groups.map(spaced).collect::<Vec<_>>().join(", "))
}

/// A long run of digits, in groups of three with the rest in the last.
pub fn digits(run: &str) -> String {
    let mut groups = Vec::new();
    let mut rest = run;
    while rest.len() > 4 {
        let (group, after) = rest.split_at(3);
        groups.push(spaced(group));
        rest = after;
    }
    groups.push(spaced(rest));
    groups.join(", ")
}

/// Each digit by itself.
pub fn spaced(digits: &str) -> String {
    digits.chars().map(|digit| digit.to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses_are_read_without_their_scheme() {
        assert_eq!(web("https://example.com/"), "example dot com");
        assert_eq!(web("https://example.com/a?b=1."), "example dot com slash a question mark b equals 1.");
        assert_eq!(web("www.bbc.co.uk,"), "W.W.W dot bbc dot co dot U.K,");
    }

    #[test]
    fn mail_addresses_name_their_signs() {
        assert_eq!(mail("john.doe@my-site.org"), "john dot doe at my dash site dot org");
    }

    #[test]
    fn telephone_numbers_are_read_by_digits_with_pauses() {
        assert_eq!(telephone("+1 (555) 123-4567"), "plus 1, 5 5 5, 1 2 3, 4 5 6 7");
        assert_eq!(digits("5551234567"), "5 5 5, 1 2 3, 4 5 6 7");
    }
}
