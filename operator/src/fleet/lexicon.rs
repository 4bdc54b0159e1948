//! How a fleet has words said: what the spec and its ConfigMap say, as far as it
//! can be used, and in words what cannot.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};
use ttsfleet_crds::Lexicon as Spec;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_wire::lexicon::{self, Lexicon};
use ttsfleet_wire::route::{ROUTE_KEY, RouteTable};

use super::build::labels;
use super::reconcile::Error;
use super::validate::Fleet;
use crate::kinds::Live;

/// Entries that are used, at most.
const MOST_ENTRIES: usize = 2000;
/// Bytes of all of them: they are told in a ConfigMap, in which each may double.
const MOST_BYTES: usize = 200 << 10;
/// Entries that are named.
const MOST_NAMED: usize = 5;
/// How much of a word, or of a file's name, is repeated, in Unicode characters.
const LONGEST_NAME: usize = 64;
/// How often a ConfigMap is looked at, which is nobody's child to be watched.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is used of a fleet's lexicon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// The entries.
    pub entries: Lexicon,
    /// Why not all there is, the worst first.
    pub trouble: Vec<(Reason, String)>,
}

/// The files of the ConfigMap that the spec names.
enum More {
    /// It names none.
    Nothing,
    /// They are there.
    Files(BTreeMap<String, String>),
    /// There are none, for this reason; these are used meanwhile.
    Unavailable(String, Lexicon),
}

/// Looks at the lexicon and has the fleet's gateway told; none if there is none.
pub(super) async fn examine(
    client: &Client,
    spec: &Spec,
    fleet: &mut Fleet,
    live: &Live,
) -> Result<Option<Applied>, Error> {
    if *spec == Spec::default() {
        return Ok(None);
    }
    let more = match &spec.config_map_ref {
        None => More::Nothing,
        Some(reference) => read(client, &reference.name, fleet, live).await?,
    };
    let applied = apply(spec, more);
    fleet.gateway.route.lexicon.clone_from(&applied.entries);
    Ok(Some(applied))
}

/// When to look again although nothing has changed.
pub(super) fn recheck(spec: &Spec) -> Option<Duration> {
    spec.config_map_ref.as_ref().map(|_| LOOK_EVERY)
}

async fn read(client: &Client, name: &str, fleet: &Fleet, live: &Live) -> Result<More, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &fleet.namespace);
    Ok(match api.get_opt(name).await {
        Ok(Some(found)) => More::Files(found.data.unwrap_or_default()),
        Ok(None) => {
            let what = format!("ConfigMap {name} is not there; make it, or leave lexicon.configMapRef out.");
            More::Unavailable(what, Lexicon::new())
        }
        // What is known holds while the API server does not say.
        Err(kube::Error::Api(status)) => {
            let what = format!("ConfigMap {name} cannot be read: {}.", status.message);
            More::Unavailable(what, known(fleet, live).unwrap_or_default())
        }
        Err(error) => return Err(Error::Read(error)),
    })
}

/// What the gateways know.
fn known(fleet: &Fleet, live: &Live) -> Option<Lexicon> {
    let name = labels::gateway_object(&fleet.name);
    let object = live.config_maps.iter().find(|object| object.name_any() == name)?;
    let table: RouteTable = serde_json::from_str(object.data.as_ref()?.get(ROUTE_KEY)?).ok()?;
    Some(table.lexicon)
}

/// The spec's entries and those of the ConfigMap, which come behind.
fn apply(spec: &Spec, more: More) -> Applied {
    let mut taken = Taken::default();
    for (word, said) in &spec.entries {
        taken.add("lexicon.entries", word, said);
    }
    let mut unavailable = None;
    match more {
        More::Nothing => {}
        More::Unavailable(what, meanwhile) => {
            meanwhile.iter().for_each(|(word, said)| taken.add("what was there", word, said));
            unavailable = Some((Reason::ConfigMapUnavailable, what));
        }
        More::Files(files) => {
            for (file, text) in &files {
                taken.add_file(file, text);
            }
        }
    }
    let mut applied = taken.applied();
    applied.trouble.splice(0..0, unavailable);
    applied
}

/// Entries as they come.
#[derive(Default)]
struct Taken {
    entries: Lexicon,
    /// The words, as they are the same to a reader.
    words: HashSet<String>,
    bytes: usize,
    /// Those beyond what is used.
    over: usize,
    bad: usize,
    /// The first of the bad ones, in words.
    named: Vec<String>,
}

impl Taken {
    fn add_file(&mut self, file: &str, text: &str) {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).zip(1..);
        for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
            match lexicon::split(line) {
                Some((word, said)) => self.add(&format!("{} line {number}", shown(file)), word, said),
                None => {
                    self.leave_out(|| {
                        format!("{} line {number}: write it as `word = pronunciation`", shown(file))
                    });
                }
            }
        }
    }

    /// The first one that says something of a word counts.
    fn add(&mut self, place: &str, word: &str, said: &str) {
        if let Err(fault) = lexicon::read(word, said) {
            self.leave_out(|| format!("{place}, {:?}: {fault}", shown(word)));
            return;
        }
        let word = word.split_whitespace().collect::<Vec<_>>().join(" ");
        if !self.words.insert(word.to_lowercase()) {
            return;
        }
        self.bytes += word.len() + said.len();
        if self.entries.len() == MOST_ENTRIES || self.bytes > MOST_BYTES {
            self.over += 1;
        } else {
            self.entries.insert(word, said.trim().to_owned());
        }
    }

    fn leave_out(&mut self, words: impl FnOnce() -> String) {
        self.bad += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(words());
        }
    }

    fn applied(self) -> Applied {
        let Self { entries, over, bad, named, .. } = self;
        let mut trouble = Vec::new();
        if bad > 0 {
            let more = match bad - named.len() {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let words = format!("Left out: {}{more}.", named.join("; "));
            trouble.push((Reason::InvalidEntries, words));
        }
        if over > 0 {
            let most = MOST_BYTES >> 10;
            let words = format!(
                "{over} entries are left out, as at most {MOST_ENTRIES} entries, or {most} KiB, are used; remove some."
            );
            trouble.push((Reason::TooManyEntries, words));
        }
        Applied { entries, trouble }
    }
}

/// The beginning of what might be long.
fn shown(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Response};
    use kube::client::Body;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use ttsfleet_crds::{ConfigMapRef, TtsDeployment};

    use super::*;

    fn spec(entries: &[(&str, &str)]) -> Spec {
        let entries = lexicon(entries);
        Spec { entries, config_map_ref: Some(ConfigMapRef { name: "brand".to_owned() }) }
    }

    fn lexicon(entries: &[(&str, &str)]) -> Lexicon {
        entries.iter().map(|(word, said)| (word.to_string(), said.to_string())).collect()
    }

    fn files(files: &[(&str, &str)]) -> More {
        More::Files(lexicon(files))
    }

    #[test]
    fn a_file_has_an_entry_a_line_and_the_specs_own_come_first() {
        let text = "\u{feff}# Names\r\nC# = see sharp\r\n\r\n  New  York=/nuː ˈjɔːɹk/\nKUBECTL = cube cuddle\n\
                    kubectl = cube c t l\nGIF = jiff\ngif = giff";
        let applied = apply(&spec(&[("kubectl", "cube control")]), files(&[("names.txt", text)]));
        let expected =
            [("C#", "see sharp"), ("GIF", "jiff"), ("New York", "/nuː ˈjɔːɹk/"), ("kubectl", "cube control")];
        assert_eq!(applied, Applied { entries: lexicon(&expected), trouble: vec![] });
    }

    #[test]
    fn bad_entries_are_left_out_and_the_first_of_them_named() {
        let text = "kubectl\n??? = what\nok = okay";
        let inline = spec(&[("GIF", "/JIF/"), ("k8s", "kates")]);
        let applied = apply(&inline, files(&[("a.txt", text), ("b.txt", &"x = \n".repeat(100))]));
        assert_eq!(applied.entries, lexicon(&[("k8s", "kates"), ("ok", "okay")]));
        let [(Reason::InvalidEntries, words)] = &applied.trouble[..] else { panic!("{applied:?}") };
        for told in [
            "lexicon.entries, \"GIF\": phonemes are written in the International",
            "a.txt line 1: write it as `word = pronunciation`;",
            "a.txt line 2, \"???\": a word has",
            "b.txt line 1, \"x\": a pronunciation has",
            "; and 98 more.",
        ] {
            assert!(words.contains(told), "{told}: {words}");
        }
    }

    #[test]
    fn a_missing_config_map_is_told_and_what_is_known_holds_while_one_cannot_be_read() {
        let missing = More::Unavailable("it is not there".to_owned(), Lexicon::new());
        let inline = spec(&[("kubectl", "cube control"), ("a", "/A/")]);
        let applied = apply(&inline, missing);
        assert_eq!(applied.entries, lexicon(&[("kubectl", "cube control")]));
        let reasons: Vec<_> = applied.trouble.iter().map(|(reason, _)| *reason).collect();
        assert_eq!(reasons, [Reason::ConfigMapUnavailable, Reason::InvalidEntries]);

        let known = lexicon(&[("Kubectl", "cube c t l"), ("GIF", "jiff")]);
        let applied = apply(&inline, More::Unavailable("it is forbidden".to_owned(), known));
        assert_eq!(applied.entries, lexicon(&[("kubectl", "cube control"), ("GIF", "jiff")]));
    }

    /// What is applied where the API server answers so, and the fleet's gateways know
    /// of one word.
    async fn answered(status: u16, body: Value) -> Result<Applied, Error> {
        let answer = move |request: Request<Body>| {
            assert_eq!(request.uri().path(), "/api/v1/namespaces/studio/configmaps/brand");
            let body = Body::from(body.to_string().into_bytes());
            async move { Response::builder().status(status).body(body) }
        };
        let client = Client::new(tower::service_fn(answer), "studio");
        let mut object = TtsDeployment::new("narrator", Default::default());
        object.metadata.namespace = Some("studio".to_owned());
        object.metadata.uid = Some("0b0e".to_owned());
        let mut fleet = crate::fleet::validate::validate(&object).expect("valid");
        let route = RouteTable { lexicon: lexicon(&[("GIF", "jiff")]), ..fleet.gateway.route.clone() };
        let route: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "narrator-gateway"}, "data": {ROUTE_KEY: serde_json::to_string(&route).expect("JSON")},
        }))
        .expect("a ConfigMap");
        let live = Live { config_maps: vec![Arc::new(route)], ..Live::default() };
        let applied = examine(&client, &spec(&[("kubectl", "cube control")]), &mut fleet, &live).await?;
        let applied = applied.expect("there is a lexicon");
        assert_eq!(fleet.gateway.route.lexicon, applied.entries, "the gateways are told");
        Ok(applied)
    }

    #[tokio::test]
    async fn what_the_api_server_says_of_the_config_map_is_heeded() {
        let failed = |code: u16, reason: &str| json!({"kind": "Status", "code": code, "message": "not for you", "reason": reason});
        let own = ("kubectl", "cube control");
        let there = answered(200, json!({"metadata": {}, "data": {"a": "k8s = kates"}})).await.expect("read");
        assert_eq!(there, Applied { entries: lexicon(&[own, ("k8s", "kates")]), trouble: vec![] });
        for (status, reason, words, expected) in [
            (404, "NotFound", "ConfigMap brand is not there; make it", lexicon(&[own])),
            (
                403,
                "Forbidden",
                "ConfigMap brand cannot be read: not for you.",
                lexicon(&[own, ("GIF", "jiff")]),
            ),
        ] {
            let Applied { entries, trouble } = answered(status, failed(status, reason)).await.expect("told");
            let [(Reason::ConfigMapUnavailable, what)] = &trouble[..] else { panic!("{trouble:?}") };
            assert!(what.starts_with(words), "{what}");
            assert_eq!(entries, expected);
        }
    }

    #[test]
    fn what_is_used_is_bounded_in_number_and_bytes() {
        let many: String = (0..MOST_ENTRIES + 7).map(|number| format!("w{number} = x\n")).collect();
        let applied = apply(&spec(&[]), files(&[("many", &many)]));
        assert_eq!(applied.entries.len(), MOST_ENTRIES);
        let [(Reason::TooManyEntries, words)] = &applied.trouble[..] else { panic!("{applied:?}") };
        assert!(words.starts_with("7 entries are left out"), "{words}");

        let large: String = (0..1000).map(|number| format!("w{number} = {}\n", "ä".repeat(256))).collect();
        let applied = apply(&spec(&[]), files(&[("large", &large)]));
        let bytes: usize = applied.entries.iter().map(|(word, said)| word.len() + said.len()).sum();
        assert!((MOST_BYTES - 1000..=MOST_BYTES).contains(&bytes), "{bytes}");
    }

    proptest! {
        #[test]
        fn whatever_a_config_map_holds_what_is_said_of_it_is_short(
            file in "\\PC{0,300}",
            text in "([^\n]{0,300}=?[^\n]{0,300}\n){0,12}",
        ) {
            let applied = apply(&spec(&[]), files(&[(&file, &text)]));
            for (word, said) in &applied.entries {
                prop_assert!(lexicon::read(word, said).is_ok());
            }
            let told: usize = applied.trouble.iter().map(|(_, words)| words.chars().count()).sum();
            prop_assert!(told <= 4000, "{told}");
        }
    }
}
