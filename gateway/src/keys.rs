//! API keys: a file for each tier, one key a line, with what is said of it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use sha2::{Digest, Sha256};
use ttsfleet_wire::route::Quota;

/// How often the folder is read again. A Secret's new content takes up to a
/// minute to get there, so that this adds little.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Longest file that is read.
const MOST_BYTES: u64 = 1 << 20;
/// What stands before a key's digest where the key itself is not to be read.
const DIGEST: &str = "sha256:";
const PER_MINUTE: &str = "requests-per-minute";
const PER_DAY: &str = "characters-per-day";
/// Longest name of a key, in bytes.
const LONGEST_NAME: usize = 64;

pub(crate) type Sum = [u8; 32];

/// API keys and what they stand for. Only their digests are kept, and looked up
/// by: how long that takes depends on the digest of what was presented, of which
/// nobody can choose more than a few bits, so that it leads nobody to a key.
#[derive(Debug, Default)]
pub struct Keys {
    known: ArcSwap<HashMap<Sum, Arc<Key>>>,
    bad_lines: AtomicUsize,
}

/// What a key stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// The tier's name.
    pub tier: String,
    /// Who has the key, for figures; several keys may have one name.
    pub name: Option<String>,
    /// When it is no longer valid.
    pub until: Option<Timestamp>,
    /// What its holder may have, where that is not as the tier has it.
    pub quota: Quota,
}

/// Why a line is no key. Says nothing of what is in the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BadLine {
    #[error("sha256: takes the 64 hexadecimal digits that `printf %s KEY | sha256sum` writes")]
    Digest,
    #[error("name= takes 1 to 64 letters, digits and . _ @ -")]
    Name,
    #[error("until= takes a day, as in 2027-01-31, or a time, as in 2027-01-31T12:00:00Z")]
    Until,
    #[error("{0}= takes a whole number from 1")]
    Number(&'static str),
    #[error(
        "its word {0} is none of name=, until=, requests-per-minute= and characters-per-day=; a key has no blanks"
    )]
    Option(usize),
}

/// What a folder says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    keys: HashMap<Sum, Arc<Key>>,
    /// What cannot be understood: the tier, the line's number, and why.
    bad: Vec<(String, usize, BadLine)>,
}

impl Keys {
    /// Takes the keys there are, in the clear.
    pub fn set(&self, keys: impl IntoIterator<Item = (String, Key)>) {
        let sums = keys.into_iter().map(|(key, of)| (sum(&key), Arc::new(of)));
        self.known.store(Arc::new(sums.collect()));
    }

    /// What a key stands for.
    pub(crate) fn get(&self, sum: &Sum) -> Option<Arc<Key>> {
        self.known.load().get(sum).cloned()
    }

    /// Whether one of them has a bound of its own.
    pub(crate) fn have_quotas(&self) -> bool {
        self.known.load().values().any(|key| !key.quota.is_unbounded())
    }

    /// Lines of the Secret that are left out, as they cannot be understood.
    pub(crate) fn bad_lines(&self) -> usize {
        self.bad_lines.load(Ordering::Relaxed)
    }

    fn take(&self, contents: &Contents) {
        tracing::info!(keys = contents.keys.len(), "API keys read");
        for (tier, line, error) in &contents.bad {
            tracing::error!(tier, line, %error, "a line of the API keys is left out");
        }
        self.bad_lines.store(contents.bad.len(), Ordering::Relaxed);
        self.known.store(Arc::new(contents.keys.clone()));
    }
}

/// By what a key is known.
pub(crate) fn sum(key: &str) -> Sum {
    Sha256::digest(key).into()
}

/// Keeps `keys` as the folder says, for ever. A folder that cannot be read
/// changes nothing: who had access keeps it.
pub async fn follow(folder: PathBuf, keys: Arc<Keys>) {
    let mut last = None;
    loop {
        let path = folder.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        match read {
            Ok(Ok(fresh)) if last.as_ref() != Some(&fresh) => {
                keys.take(&fresh);
                last = Some(fresh);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, folder = %folder.display(), "cannot read the API keys"),
            Err(error) => tracing::warn!(%error, "cannot read the API keys"),
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

/// Keys from a folder: a file for each tier, one key a line.
fn read(folder: &Path) -> std::io::Result<Contents> {
    let mut contents = Contents::default();
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    // A key of two tiers is of the same one each time.
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let tier = entry.file_name().to_string_lossy().into_owned();
        // Kubernetes keeps its own bookkeeping there, with a dot in front.
        let metadata = std::fs::metadata(entry.path())?;
        if tier.starts_with('.') || !metadata.is_file() {
            continue;
        }
        if metadata.len() > MOST_BYTES {
            let message = format!("the keys of tier {tier} take more than {MOST_BYTES} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
        }
        let text = std::fs::read_to_string(entry.path())?;
        for (number, line) in (1..).zip(text.lines()) {
            match parse(&tier, line) {
                Ok(key) => contents.keys.extend(key.map(|(sum, key)| (sum, Arc::new(key)))),
                Err(error) => contents.bad.push((tier.clone(), number, error)),
            }
        }
    }
    Ok(contents)
}

/// The key of a line; none if it is blank or a comment.
fn parse(tier: &str, line: &str) -> Result<Option<(Sum, Key)>, BadLine> {
    let mut words = line.split_whitespace();
    let Some(first) = words.next().filter(|first| *first != "#") else { return Ok(None) };
    let sum = match first.strip_prefix(DIGEST) {
        Some(digits) => digest(digits).ok_or(BadLine::Digest)?,
        None => sum(first),
    };
    let mut key = Key { tier: tier.to_owned(), ..Key::default() };
    for (place, word) in (2..).zip(words) {
        match word.split_once('=').ok_or(BadLine::Option(place))? {
            ("name", name) => key.name = Some(checked_name(name)?),
            ("until", until) => key.until = Some(end(until).ok_or(BadLine::Until)?),
            (PER_MINUTE, number) => key.quota.requests_per_minute = Some(count(PER_MINUTE, number)?),
            (PER_DAY, number) => key.quota.characters_per_day = Some(count(PER_DAY, number)?),
            _ => return Err(BadLine::Option(place)),
        }
    }
    Ok(Some((sum, key)))
}

fn digest(digits: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    hex::decode_to_slice(digits, &mut sum).ok()?;
    Some(sum)
}

fn checked_name(name: &str) -> Result<String, BadLine> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    let good = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain);
    if good { Ok(name.to_owned()) } else { Err(BadLine::Name) }
}

/// A time, or the end of a day in UTC.
fn end(until: &str) -> Option<Timestamp> {
    if let Ok(time) = until.parse() {
        return Some(time);
    }
    let next = until.parse::<Date>().ok()?.tomorrow().ok()?;
    Some(next.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn count<N: TryFrom<u64>>(option: &'static str, number: &str) -> Result<N, BadLine> {
    let number = number.parse::<u64>().ok().filter(|number| *number > 0);
    number.and_then(|number| N::try_from(number).ok()).ok_or(BadLine::Number(option))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parsed(line: &str) -> Key {
        parse("premium", line).unwrap().unwrap().1
    }

    fn contents(files: &[(&str, &str)]) -> Contents {
        let folder = tempfile::tempdir().unwrap();
        for (tier, text) in files {
            std::fs::write(folder.path().join(tier), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        read(folder.path()).unwrap()
    }

    #[test]
    fn a_file_is_a_tier_and_a_line_a_key_with_what_is_said_of_it() {
        let text = "gold-1\n\n# of a customer\n gold-2  name=acme until=2027-01-31 requests-per-minute=60 \
                    characters-per-day=100000\n";
        let keys = contents(&[("premium", text)]).keys;
        assert_eq!(keys.len(), 2);
        assert_eq!(*keys[&sum("gold-1")], Key { tier: "premium".to_owned(), ..Key::default() });
        let acme = &keys[&sum("gold-2")];
        assert_eq!((acme.name.as_deref(), acme.until), (Some("acme"), "2027-02-01T00:00:00Z".parse().ok()));
        let quota = Quota { requests_per_minute: Some(60), characters_per_day: Some(100_000) };
        assert_eq!(acme.quota, quota);
    }

    #[test]
    fn a_key_may_stand_there_as_its_digest() {
        // printf %s gold-1 | sha256sum
        let digits = "7d90926ed4fa72b71ebd06ae2f7b7fed1aa19fdea9412bea088c5f2433a86aab";
        let (known, _) = parse("premium", &format!("sha256:{digits} name=acme")).unwrap().unwrap();
        assert_eq!(known, sum("gold-1"));
    }

    #[test]
    fn a_key_ends_with_its_day_or_at_its_time() {
        assert_eq!(parsed("k until=2027-01-31").until, "2027-02-01T00:00:00Z".parse().ok());
        assert_eq!(parsed("k until=2027-01-31T12:00:00+02:00").until, "2027-01-31T10:00:00Z".parse().ok());
    }

    #[rstest]
    #[case("secret name=")]
    #[case("secret name=a/b")]
    #[case("secret until=soon")]
    #[case("secret until=2027-02-30")]
    #[case("secret requests-per-minute=0")]
    #[case("secret requests-per-minute=4294967296")]
    #[case("secret characters-per-day=-1")]
    #[case("secret and more of it")]
    #[case("secret nam=acme")]
    #[case("sha256:5ec2e7")]
    #[case("sha256:5ec2e7zz5ec2e7zz5ec2e7zz5ec2e7zz5ec2e7zz5ec2e7zz5ec2e7zz5ec2e7zz")]
    fn a_line_with_a_mistake_is_left_out_and_told_without_what_is_in_it(#[case] line: &str) {
        let read = contents(&[("premium", &format!("good\n{line}\n"))]);
        assert_eq!(read.keys.keys().collect::<Vec<_>>(), [&sum("good")]);
        let [(tier, number, error)] = &read.bad[..] else { panic!("{:?}", read.bad) };
        assert_eq!((tier.as_str(), *number), ("premium", 2));
        let told = error.to_string();
        assert!(!told.contains("secret") && !told.contains("5ec2e7"), "{told}");
    }

    #[test]
    fn no_key_is_kept_in_the_clear() {
        let keys = Keys::default();
        keys.take(&contents(&[("premium", "gold-1 name=acme\ngold 2")]));
        assert!(!format!("{keys:?}").contains("gold"));
        assert_eq!(keys.bad_lines(), 1);
    }
}
