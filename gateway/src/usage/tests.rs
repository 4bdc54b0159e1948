use super::*;

const DAY: u64 = 20_000;

fn at(hour: u64, second: u64) -> Moment {
    Moment::at(Duration::from_secs(DAY * 86_400 + hour * 3600 + second))
}

fn quota(requests: u32, characters: u64) -> Quota {
    Quota { requests_per_minute: Some(requests), characters_per_day: Some(characters) }
}

fn take<'a>(usage: &'a Usage, characters: usize, now: &Moment) -> Result<Charge<'a>, ErrorCode> {
    let taken = usage.take("acme", quota(3, 100), characters, now);
    taken.map_err(|failure| failure.code)
}

fn characters_left(usage: &Usage, now: &Moment) -> u64 {
    let had = usage.books().had("acme", now);
    allowance(&quota(3, 100), &had, now).characters.unwrap().remaining
}

#[test]
fn what_is_spoken_is_counted_and_what_is_not_is_given_back() {
    let (usage, now) = (Usage::default(), at(12, 0));
    take(&usage, 60, &now).unwrap().spoken(50);
    assert_eq!(characters_left(&usage, &now), 50);
    drop(take(&usage, 50, &now).unwrap());
    assert_eq!(characters_left(&usage, &now), 50, "of a request that failed");
    assert_eq!(take(&usage, 51, &now).err(), Some(ErrorCode::QuotaExceeded));
}

#[test]
fn characters_are_held_while_they_are_spoken() {
    let (usage, now) = (Usage::default(), at(12, 0));
    let first = take(&usage, 60, &now).unwrap();
    assert_eq!(take(&usage, 60, &now).err(), Some(ErrorCode::QuotaExceeded));
    drop(first);
    assert!(take(&usage, 60, &now).is_ok());
}

#[test]
fn who_is_refused_is_not_counted_and_others_are_not_touched() {
    let (usage, now) = (Usage::default(), at(12, 0));
    for _ in 0..3 {
        take(&usage, 1, &now).unwrap().spoken(1);
    }
    for _ in 0..9 {
        assert_eq!(take(&usage, 1, &now).err(), Some(ErrorCode::RateLimited));
    }
    assert!(usage.take("other", quota(3, 100), 1, &now).is_ok());
    let later = at(12, 119);
    assert!(take(&usage, 1, &later).is_ok());
}

#[test]
fn a_new_day_is_a_new_account_and_nothing_of_it_is_given_back_for_the_old_one() {
    let (usage, evening, morning) = (Usage::default(), at(23, 3599), at(24, 1));
    let late = take(&usage, 80, &evening).unwrap();
    take(&usage, 70, &morning).unwrap().spoken(70);
    drop(late);
    assert_eq!(characters_left(&usage, &morning), 30);
}

#[test]
fn gateways_that_hear_of_each_other_have_one_account() {
    let (one, two, now) = (Usage::default(), Usage::default(), at(12, 0));
    take(&one, 60, &now).unwrap().spoken(60);
    two.hear(one.told(), &now);
    assert_eq!(characters_left(&two, &now), 40);
    take(&two, 40, &now).unwrap().spoken(40);
    one.hear(two.told(), &now);
    one.hear(one.told(), &now);
    assert_eq!(characters_left(&one, &now), 0, "neither its own twice nor what it had heard");
}

#[test]
fn what_a_gateway_has_counted_outlives_it() {
    let (gone, one, new, now) = (Usage::default(), Usage::default(), Usage::default(), at(12, 0));
    take(&gone, 60, &now).unwrap().spoken(60);
    one.hear(gone.told(), &now);
    new.hear(one.told(), &now);
    assert_eq!(characters_left(&new, &now), 40);
    new.hear(vec![], &at(25, 0));
    assert_eq!(new.told().len(), 1, "but not its day");
}

#[test]
fn older_news_change_nothing() {
    let (one, two, now) = (Usage::default(), Usage::default(), at(12, 0));
    take(&one, 10, &now).unwrap().spoken(10);
    let old = one.told();
    take(&one, 10, &now).unwrap().spoken(10);
    two.hear(one.told(), &now);
    two.hear(old, &now);
    assert_eq!(characters_left(&two, &now), 80);
}

#[test]
fn what_is_told_without_bounds_is_not_taken() {
    let (usage, now) = (Usage::default(), at(12, 0));
    let of = |gateway: usize, accounts: usize| Counts {
        gateway: gateway.to_string(),
        version: 1,
        day: now.day,
        accounts: (0..accounts).map(|number| (number.to_string(), Account::default())).collect(),
    };
    usage.hear(vec![of(0, MOST_ACCOUNTS + 1)], &now);
    assert_eq!(usage.told().len(), 1);
    usage.hear((0..2 * MOST_GATEWAYS).map(|gateway| of(gateway, 1)).collect(), &now);
    assert_eq!(usage.told().len(), 1 + MOST_GATEWAYS);
}

#[test]
fn what_is_left_is_told_as_openais_api_does() {
    let mut map = HeaderMap::new();
    let left =
        |seconds: u64| Left { limit: 60, remaining: 7, reset: Duration::from_millis(seconds * 1000 - 1) };
    tell(&Allowance { requests: Some(left(80)), characters: Some(left(5 * 3600)) }, &mut map);
    let said = |name: &str| map[name].to_str().unwrap().to_owned();
    assert_eq!(
        (said("x-ratelimit-limit-requests"), said("x-ratelimit-remaining-requests")),
        ("60".into(), "7".into())
    );
    assert_eq!(
        (said("x-ratelimit-reset-requests"), said("x-ratelimit-reset-characters")),
        ("1m20s".into(), "5h0m0s".into())
    );
    let mut none = HeaderMap::new();
    tell(&Allowance::default(), &mut none);
    assert!(none.is_empty());
}
