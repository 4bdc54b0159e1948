//! What callers have had of what they may have. Each gateway counts for itself
//! and tells the others, so that a quota is the fleet's and not each gateway's.

mod exchange;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use ttsfleet_serving::Failure;
use ttsfleet_wire::{error::ErrorCode, headers, route::Quota};

pub use exchange::{exchange, routes};

use crate::quota::{Allowance, Exceeded, Had, Left, Moment, allowance, check};

/// Gateways whose counts are kept, those among them that are no more: each lives
/// on here to the end of its day.
const MOST_GATEWAYS: usize = 64;
/// Accounts that are taken from one other gateway.
const MOST_ACCOUNTS: usize = 4096;

/// The counts of all gateways.
pub struct Usage(Mutex<Books>);

struct Books {
    own: Counts,
    others: HashMap<String, Counts>,
    /// Where the other gateways are, and this one.
    gateways: Vec<IpAddr>,
}

/// What one gateway has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Tells it from all others, also from one that had its address before.
    gateway: String,
    /// Grows with each change.
    version: u64,
    /// Days since 1970 of the last change.
    day: u64,
    /// By account.
    accounts: HashMap<String, Account>,
}

/// What one gateway has given to an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// Minutes since 1970 of the last request.
    minute: u64,
    /// Requests in it.
    requests: u64,
    /// Requests in the minute before it.
    before: u64,
    /// Days since 1970 of the last request.
    day: u64,
    /// Characters in it.
    characters: u64,
}

impl Account {
    fn had(&self, now: &Moment) -> Had {
        let (before, requests) = match now.minute.saturating_sub(self.minute) {
            // Another gateway's clock may be ahead.
            0 => (self.before, self.requests),
            1 => (self.requests, 0),
            _ => (0, 0),
        };
        Had { before, requests, characters: if self.day == now.day { self.characters } else { 0 } }
    }

    fn add(&mut self, requests: u64, characters: u64, now: &Moment) {
        let had = self.had(now);
        *self = Self {
            minute: now.minute,
            requests: had.requests + requests,
            before: had.before,
            day: now.day,
            characters: had.characters + characters,
        };
    }
}

impl Default for Usage {
    fn default() -> Self {
        let own = Counts { gateway: format!("{:016x}", rand::random::<u64>()), ..Counts::default() };
        Self(Mutex::new(Books { own, others: HashMap::new(), gateways: Vec::new() }))
    }
}

/// A request that has been let in.
pub(crate) struct Charge<'a> {
    usage: &'a Usage,
    account: String,
    quota: Quota,
    /// Given back if nothing comes of the request.
    characters: u64,
    /// When they were taken.
    day: u64,
}

impl Usage {
    /// Counts a request of so many characters, if its account has as much left.
    ///
    /// # Errors
    /// 429 if it has not.
    pub(crate) fn take(
        &self,
        account: &str,
        quota: Quota,
        characters: usize,
        now: &Moment,
    ) -> Result<Charge<'_>, Failure> {
        let characters = characters as u64;
        let mut books = self.books();
        let had = books.had(account, now);
        check(&quota, &had, characters, now).map_err(|exceeded| refusal(exceeded, &quota))?;
        books.own.add(account, 1, characters, now);
        Ok(Charge { usage: self, account: account.to_owned(), quota, characters, day: now.day })
    }

    /// What is left to an account.
    pub(crate) fn left(&self, account: &str, quota: &Quota, now: &Moment) -> Allowance {
        allowance(quota, &self.books().had(account, now), now)
    }

    /// Where all of the fleet's gateways are.
    pub fn set_gateways(&self, gateways: Vec<IpAddr>) {
        self.books().gateways = gateways;
    }

    fn gateways(&self) -> Vec<IpAddr> {
        self.books().gateways.clone()
    }

    /// What all gateways have counted, as far as is known here, this one first.
    fn told(&self) -> Vec<Counts> {
        let books = self.books();
        std::iter::once(&books.own).chain(books.others.values()).cloned().collect()
    }

    /// Takes what another gateway has told. What is newer holds, whoever tells it.
    fn hear(&self, told: Vec<Counts>, now: &Moment) {
        let mut books = self.books();
        books.forget(now);
        for counts in told {
            let is_own = counts.gateway == books.own.gateway;
            let known = books.others.get(&counts.gateway);
            let is_newer =
                known.map_or(books.others.len() < MOST_GATEWAYS, |known| known.version < counts.version);
            if !is_own && is_newer && counts.day == now.day && counts.accounts.len() <= MOST_ACCOUNTS {
                books.others.insert(counts.gateway.clone(), counts);
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn had(&self, account: &str, now: &Moment) -> Had {
        let all = std::iter::once(&self.own).chain(self.others.values());
        let had = all.filter_map(|counts| counts.accounts.get(account)).map(|account| account.had(now));
        had.fold(Had::default(), |sum, had| Had {
            before: sum.before.saturating_add(had.before),
            requests: sum.requests.saturating_add(had.requests),
            characters: sum.characters.saturating_add(had.characters),
        })
    }

    /// Drops what is of a day that is over.
    fn forget(&mut self, now: &Moment) {
        self.own.accounts.retain(|_, account| account.day == now.day);
        self.others.retain(|_, counts| counts.day == now.day);
    }
}

impl Counts {
    fn add(&mut self, account: &str, requests: u64, characters: u64, now: &Moment) {
        self.version += 1;
        self.day = now.day;
        self.accounts.entry(account.to_owned()).or_default().add(requests, characters, now);
    }
}

impl Charge<'_> {
    /// So many characters are spoken; those beyond are given back. Answers what is
    /// left.
    pub(crate) fn spoken(mut self, characters: usize) -> Allowance {
        self.characters = self.characters.saturating_sub(characters as u64);
        self.give_back();
        self.usage.left(&self.account, &self.quota, &moment())
    }

    fn give_back(&mut self) {
        let unspoken = std::mem::take(&mut self.characters);
        if unspoken > 0 {
            let mut books = self.usage.books();
            books.own.version += 1;
            let account = books.own.accounts.get_mut(&self.account);
            if let Some(account) = account.filter(|account| account.day == self.day) {
                account.characters = account.characters.saturating_sub(unspoken);
            }
        }
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Now.
pub(crate) fn moment() -> Moment {
    // A clock before 1970 is as good as one at its beginning.
    Moment::at(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn refusal(exceeded: Exceeded, quota: &Quota) -> Failure {
    // What is told in whole seconds must not be too soon.
    let whole = |wait: Duration| wait.as_secs() as u32 + 1;
    match exceeded {
        Exceeded::Requests(wait) => {
            let limit = quota.requests_per_minute.unwrap_or_default();
            let message = format!("You may send {limit} requests a minute; slow down.");
            Failure::new(ErrorCode::RateLimited, message).retry_after(whole(wait))
        }
        Exceeded::Characters(wait) => {
            let limit = quota.characters_per_day.unwrap_or_default();
            let message = format!(
                "You may have {limit} characters spoken a day, and this text is more than what is left of them; \
                 come back after midnight UTC, send a shorter text, or ask for a larger quota."
            );
            Failure::new(ErrorCode::QuotaExceeded, message).retry_after(whole(wait))
        }
    }
}

/// Tells a caller what is left to it.
pub(crate) fn tell(allowance: &Allowance, map: &mut HeaderMap) {
    let names = [
        (allowance.requests, headers::LIMIT_REQUESTS, headers::REMAINING_REQUESTS, headers::RESET_REQUESTS),
        (
            allowance.characters,
            headers::LIMIT_CHARACTERS,
            headers::REMAINING_CHARACTERS,
            headers::RESET_CHARACTERS,
        ),
    ];
    for (left, limit_name, remaining_name, reset_name) in names {
        let Some(Left { limit, remaining, reset }) = left else { continue };
        map.insert(limit_name, limit.into());
        map.insert(remaining_name, remaining.into());
        if let Ok(reset) = HeaderValue::from_str(&in_words(reset)) {
            map.insert(reset_name, reset);
        }
    }
}

/// A time as OpenAI's API writes it: `0s`, `1m20s`, `5h0m0s`.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests;
