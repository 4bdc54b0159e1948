//! Models are tried, swapped in and refused, against a real API server.

use std::future::Future;
use std::sync::Arc;

use crate::support::narrator::{CHILDREN, at_rest, change, create_with, degraded, get, namespace, state};
use crate::support::pods::{FakePods, Kubelet};
use crate::support::{Cluster, Connection, Cut, Running, eventually};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use ttsfleet_crds::{RolloutPhase, TtsDeployment, TtsDeploymentStatus};
use ttsfleet_e2e::control_plane::Options;
use ttsfleet_operator::rollout::PoolRecord;

fn spec(version: &str) -> Value {
    let source = json!({"uri": format!("file:///models/{version}")});
    json!({
        "pools": [{"name": "main", "model": {"name": "hibari", "version": version, "source": source}}],
        "rollout": {"shadow": {"minSamples": 10, "deadline": "2m"}, "swap": {"soak": "1s"}},
    })
}

/// A fleet that serves version 1, and its pods.
struct Narrator {
    client: Client,
    namespace: String,
    pods: Arc<FakePods>,
    _kubelet: Kubelet,
}

impl Narrator {
    async fn with(cluster: &Cluster, name: &str, worse: bool) -> Self {
        let client = cluster.client();
        namespace(&client, name).await;
        create_with(&client, name, spec("1")).await;
        let (pods, kubelet) = FakePods::start(client.clone(), name, worse);
        Self { client, namespace: name.to_owned(), pods, _kubelet: kubelet }
    }

    /// The same, once an operator has made everything.
    async fn at_rest(cluster: &Cluster, name: &str, worse: bool) -> Self {
        let fleet = Self::with(cluster, name, worse).await;
        let running = fleet.operator(cluster, Connection::default());
        fleet.serves("1").await;
        at_rest(&running).await;
        fleet
    }

    fn operator(&self, cluster: &Cluster, connection: Connection) -> Running {
        let pods = self.pods.over(&connection);
        cluster.operator_with(&self.namespace, connection, pods)
    }

    async fn name_version(&self, version: &str) {
        change(&self.client, &self.namespace, json!({"pools": spec(version)["pools"]})).await;
    }

    async fn status(&self) -> Option<TtsDeploymentStatus> {
        let fleets: Api<TtsDeployment> = Api::namespaced(self.client.clone(), &self.namespace);
        fleets.get("narrator").await.ok()?.status
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        eventually(what, || {
            let holds = holds();
            async move { holds.await.then_some(()) }
        })
        .await;
    }

    async fn phase(&self) -> RolloutPhase {
        self.pods.record().await.rollout.map_or(RolloutPhase::Stable, |rollout| rollout.phase)
    }

    /// Waits until all pods serve a version, keep no other, and nothing is left
    /// of a rollout.
    async fn serves(&self, version: &str) {
        let title = format!("hibari@{version}");
        let what = format!("{} serves {title} and nothing else", self.namespace);
        eventually(&what, || async {
            let serving = self.pods.serving();
            let pods = serving.len() == 2 && serving.values().all(|of| *of == (title.clone(), None));
            let reported = self.status().await.is_some_and(|status| {
                let serving = &status.pools[0].serving;
                status.model == title && serving.iter().all(|model| model.model == title && model.pods == 2)
            });
            let over = pods && reported && self.phase().await == RolloutPhase::Stable;
            (over && self.children().await == CHILDREN.len()).then_some(())
        })
        .await;
    }

    async fn children(&self) -> usize {
        state(&self.client, &self.namespace).await.as_array().map_or(0, Vec::len)
    }

    async fn gate(&self) -> (String, String) {
        let status = self.status().await.expect("a status");
        let gate = status.conditions.into_iter().find(|c| c.type_ == "QualityGate").expect("the gate");
        (gate.status, gate.reason)
    }

    async fn template(&self) -> Value {
        let pods = get(&self.client, &self.namespace, "Deployment", "narrator-main").await.expect("the pods");
        pods.data["spec"]["template"].clone()
    }

    /// Reasons and notes.
    async fn events(&self) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&ListParams::default()).await.expect("events");
        events.into_iter().filter_map(|event| Some((event.reason?, event.note?))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_better_model_is_tried_and_swapped_in_without_a_new_pod() {
    let cluster = Cluster::start(Options::default()).await;
    let fleet = Narrator::at_rest(&cluster, "better", false).await;
    let (template, running) = (fleet.template().await, fleet.operator(&cluster, Connection::default()));
    fleet.name_version("2").await;
    eventually("the gateway is told of a judge, and the judge of both models' pods", || async {
        let routes = get(&fleet.client, "better", "ConfigMap", "narrator-gateway").await?;
        let session = get(&fleet.client, "better", "ConfigMap", "narrator-main-judge").await?;
        let session = session.data["data"]["session.json"].as_str()?.to_owned();
        let told = routes.data["data"]["route.json"].as_str()?.contains("narrator-main-judge");
        let both =
            ["narrator-main-shadow", "narrator-main-baseline"].iter().all(|pods| session.contains(pods));
        (told && both).then_some(())
    })
    .await;
    let status = fleet.status().await.expect("a status");
    assert_eq!((status.model.as_str(), status.candidate.as_str()), ("hibari@1", "hibari@2"));
    fleet.serves("2").await;

    assert_eq!(fleet.template().await, template, "no pod is replaced");
    assert_eq!(fleet.gate().await, ("True".to_owned(), "Passed".to_owned()));
    let told = fleet.pods.told();
    let count = |what: &str| told.iter().filter(|line| *line == what).count();
    assert_eq!(count("swap hibari@2, Promoting"), 2, "told once it was on record: {told:?}");
    let first = |what: &str| told.iter().position(|line| line.starts_with(what));
    assert!(first("stage hibari@2") < first("swap hibari@2"), "{told:?}");
    let events = fleet.events().await;
    for reason in ["RolloutStarted", "Judging", "Promoting", "Soaking", "Promoted"] {
        assert!(events.iter().any(|(event, _)| event == reason), "{reason} is missing in {events:?}");
    }

    at_rest(&running).await;
    drop(running);
    let asked = fleet.pods.asked();
    let running = fleet.operator(&cluster, Connection::default());
    assert_eq!(at_rest(&running).await, 0, "a fleet at rest costs no writes");
    assert_eq!(fleet.pods.asked() - asked, 2, "and no more than one question to each pod");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worse_model_is_refused_remembered_and_tried_again_when_asked_to() {
    let cluster = Cluster::start(Options::default()).await;
    let fleet = Narrator::at_rest(&cluster, "worse", true).await;
    let running = fleet.operator(&cluster, Connection::default());
    fleet.name_version("2").await;
    fleet.until("it is refused", || async { fleet.gate().await.1 == "Rejected" }).await;
    fleet.serves("1").await;
    assert!(fleet.pods.told().iter().all(|line| !line.starts_with("swap")), "{:?}", fleet.pods.told());
    let status = fleet.status().await.expect("a status");
    let message = &status.pools[0].rollout.as_ref().expect("the last one").message;
    assert!(message.contains("cer"), "{message}");
    at_rest(&running).await;
    drop(running);
    let running = fleet.operator(&cluster, Connection::default());
    assert_eq!(at_rest(&running).await, 0, "it is not tried again");

    let fleets: Api<TtsDeployment> = Api::namespaced(fleet.client.clone(), "worse");
    let retry = json!({"metadata": {"annotations": {"ttsfleet.dev/retry": "main/hibari@2"}}});
    fleets.patch("narrator", &PatchParams::default(), &Patch::Merge(retry)).await.expect("annotated");
    fleet.until("it is refused again", || async { fleet.pods.record().await.history.len() == 2 }).await;
    fleet.name_version("3").await;
    fleet.until("so is the next one", || async { fleet.pods.record().await.history.len() == 3 }).await;
    fleet.serves("1").await;
    let events = fleet.events().await;
    for version in ["hibari@2", "hibari@3"] {
        let told =
            |(reason, note): &(String, String)| reason == "RolloutStarted" && note.starts_with(version);
        assert!(events.iter().any(told), "{version} in its own words: {events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_waits_for_the_fleets_own_prompts() {
    let cluster = Cluster::start(Options::default()).await;
    let fleet = Narrator::at_rest(&cluster, "prompts", false).await;
    let _running = fleet.operator(&cluster, Connection::default());
    let from = json!({"rollout": {"shadow": {"promptsFrom": {"configMapRef": {"name": "texts"}}}}});
    change(&fleet.client, "prompts", from).await;
    fleet.name_version("2").await;
    eventually("what is missing is said", || async {
        let status = fleet.status().await?;
        let message = &status.pools[0].rollout.as_ref()?.message;
        message.contains("ConfigMap texts").then_some(())
    })
    .await;
    assert!(get(&fleet.client, "prompts", "Deployment", "narrator-main-judge").await.is_none());
    let texts: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "texts"}, "data": {"prompts.txt": "Good morning.\nGood night.\n"},
    }))
    .expect("a ConfigMap");
    let api: Api<ConfigMap> = Api::namespaced(fleet.client.clone(), "prompts");
    api.create(&PostParams::default(), &texts).await.expect("made");
    eventually("all pods serve it", || async {
        fleet.pods.serving().values().all(|of| of.0 == "hibari@2").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_deleted_or_edited_promotes_nothing() {
    let cluster = Cluster::start(Options::default()).await;
    let fleet = Narrator::at_rest(&cluster, "record", true).await;
    let running = fleet.operator(&cluster, Connection::default());
    fleet.name_version("2").await;
    fleet.until("it is refused", || async { fleet.gate().await.1 == "Rejected" }).await;
    fleet.serves("1").await;
    at_rest(&running).await;
    let record = fleet.pods.record().await;
    let api: Api<ConfigMap> = Api::namespaced(fleet.client.clone(), "record");
    api.delete("narrator-main", &Default::default()).await.expect("deleted");
    let as_before = || async {
        let data = api.get_opt("narrator-main").await.ok()??.data?;
        serde_json::from_str::<PoolRecord>(data.get("rollout.json")?).ok().filter(|now| *now == record)
    };
    eventually("it is back", as_before).await;
    let edit = json!({"data": {"rollout.json": "{}", "model.json": "{}"}});
    let editor = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    api.patch("narrator-main", &editor, &Patch::Merge(edit)).await.expect("edited");
    eventually("it is put right", as_before).await;
    let removal = json!({"data": {"rollout.json": null}});
    api.patch("narrator-main", &editor, &Patch::Merge(removal)).await.expect("removed");
    eventually("what is removed comes back", as_before).await;

    at_rest(&running).await;
    drop(running);
    api.delete("narrator-main", &Default::default()).await.expect("deleted");
    let _running = fleet.operator(&cluster, Connection::default());
    eventually("it is tried anew, and refused", || async {
        let data = api.get_opt("narrator-main").await.ok()??.data?;
        let record: PoolRecord = serde_json::from_str(data.get("rollout.json")?).ok()?;
        (record.history.len() == 1 && record.rollout.is_none()).then_some(())
    })
    .await;
    fleet.serves("1").await;
    assert!(fleet.pods.told().iter().all(|line| !line.starts_with("swap")), "{:?}", fleet.pods.told());
}

/// A webhook that is down, for instance.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_written_just_now_is_named_and_keeps_no_pod_from_its_model() {
    let cluster = Cluster::start(Options::default()).await;
    let fleet = Narrator::at_rest(&cluster, "lost", false).await;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(fleet.client.clone(), "lost");
    budgets.delete("narrator-main", &Default::default()).await.expect("deleted");
    let _running = fleet.operator(&cluster, Connection::that_loses("poddisruptionbudgets"));
    change(&fleet.client, "lost", json!({"rollout": {"strategy": "Direct"}})).await;
    fleet.name_version("2").await;
    let all_serve = || async { fleet.pods.serving().values().all(|of| of.0 == "hibari@2") };
    fleet.until("all pods serve it", all_serve).await;
    eventually("it is said", || async {
        let (reason, message) = degraded(&fleet.client, "lost").await?;
        (reason == "ChangeRefused" && message.contains("PodDisruptionBudget narrator-main")).then_some(())
    })
    .await;
}

/// Where it was stopped must not matter: an operator is killed after each write
/// of a rollout, and another one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_ends_the_same_wherever_the_operator_is_killed() {
    let cluster = Cluster::start(Options::default()).await;
    let undisturbed = Narrator::at_rest(&cluster, "whole", false).await;
    let running = undisturbed.operator(&cluster, Connection::default());
    undisturbed.name_version("2").await;
    undisturbed.serves("2").await;
    let writes = at_rest(&running).await;
    assert!(writes > 20, "{writes} writes");
    let cluster = &cluster;
    let trials = futures::stream::iter(1..=writes).for_each_concurrent(8, |write| async move {
        let fleet = Narrator::at_rest(cluster, &format!("after-{write}"), false).await;
        let killed = fleet.operator(cluster, Connection::that_is_cut(Cut::After(write)));
        fleet.name_version("2").await;
        // Events are written beside what counts: there may be fewer writes than before.
        let over = async {
            fleet.serves("2").await;
        };
        let dead = eventually("the operator is cut off", || {
            std::future::ready(killed.connection.is_dead().then_some(()))
        });
        tokio::select! { () = over => {}, () = dead => {} }
        drop(killed);
        let _next = fleet.operator(cluster, Connection::default());
        fleet.serves("2").await;
        let record = fleet.pods.record().await;
        let outcomes: Vec<_> = record.history.iter().map(|entry| format!("{:?}", entry.outcome)).collect();
        assert_eq!(outcomes, ["Promoted"], "killed after write {write}");
    });
    trials.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_changes_during_a_rollout_is_followed_from_every_phase() {
    let cluster = Cluster::start(Options::default()).await;
    let cluster = &cluster;
    let phases =
        [RolloutPhase::Staging, RolloutPhase::Shadowing, RolloutPhase::Promoting, RolloutPhase::Soaking];
    let trials = phases.into_iter().flat_map(|phase| [(phase, "1"), (phase, "3")]);
    futures::stream::iter(trials)
        .for_each_concurrent(8, |(phase, then)| async move {
            let name = format!("{phase}-{then}").to_lowercase();
            let fleet = Narrator::at_rest(cluster, &name, false).await;
            change(&fleet.client, &name, json!({"rollout": {"swap": {"soak": "30s"}}})).await;
            let _running = fleet.operator(cluster, Connection::default());
            fleet.name_version("2").await;
            fleet.until(&format!("{name}: it is there"), || async { fleet.phase().await == phase }).await;
            change(&fleet.client, &name, json!({"rollout": {"swap": {"soak": "1s"}}})).await;
            fleet.name_version(then).await;
            fleet.serves(then).await;
        })
        .await;
}
