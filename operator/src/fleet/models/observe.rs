//! What is seen of a pool: its pods, those of a trial, and what they say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use ttsfleet_crds::RolloutPhase;
use ttsfleet_wire::judge::Report;

use super::memory::{FRESH, Heard, QUIET};
use crate::admin::Target;
use crate::fleet::build::labels::{self, BASELINE, JUDGE, SHADOW};
use crate::fleet::build::{CONTAINER, PoolPlan, template_digest};
use crate::fleet::pods::{self, VolumeTrouble};
use crate::fleet::reconcile::{Context, Error};
use crate::fleet::validate::{Fleet, FleetPool};
use crate::kinds::Live;
use crate::rollout::{PodView, PoolView};

/// Pods asked at once.
const CONCURRENCY: usize = 64;
/// When to look again at pods that do something on their own.
const SOON: Duration = Duration::from_secs(2);

/// What was seen of a pool.
pub(super) struct Observed {
    pub(super) view: PoolView,
    /// How to reach the pods, by their uids.
    pub(super) targets: HashMap<String, Target>,
    /// When to look again.
    pub(super) recheck: Option<Duration>,
}

/// Looks at a pool. Pods are asked while a rollout is under way, and otherwise
/// once, when they have become ready or have done what they were told to.
pub(super) async fn pool(
    context: &Context,
    fleet: &Fleet,
    pool: &FleetPool,
    plan: &PoolPlan,
    live: &Live,
    now: Timestamp,
) -> Result<Observed, Error> {
    let rollout = plan.record.rollout.as_ref();
    let under_way = rollout.is_some_and(|rollout| rollout.phase != RolloutPhase::Paused);
    let trial = rollout.map(|rollout| rollout.trial.as_str());
    let digest = template_digest(fleet, pool, &context.settings, plan)?;
    let look = Look { context, fleet, volumes: &live.volumes, now };
    let own = find(live, &[(labels::POOL, &pool.name)]);
    let of_trial = |part| match trial {
        Some(trial) => {
            let labels =
                [(labels::COMPONENT, part), (labels::TRIAL_OF, pool.name.as_str()), (labels::TRIAL, trial)];
            find(live, &labels)
        }
        None => Vec::new(),
    };
    let (shadow, baseline, judge) = (of_trial(SHADOW), of_trial(BASELINE), of_trial(JUDGE));
    let compares = rollout.is_some_and(|rollout| rollout.phase == RolloutPhase::Shadowing);
    let own = look.at(&own, under_way, |pod| label(pod, labels::TEMPLATE) == Some(&digest));
    let shadow = look.at(&shadow, under_way, |_| true);
    let baseline = look.at(&baseline, under_way, |_| true);
    let report = look.report(judge.first().filter(|_| compares));
    let (own, shadow, baseline, report) = futures::join!(own, shadow, baseline, report);
    let judge_problem = judge.first().and_then(|pod| pods::trouble(fleet, pod, &live.volumes, now));
    let recheck = if under_way { None } else { own.restless.or(shadow.restless).or(baseline.restless) };
    let targets = own.targets;
    let view = PoolView {
        pods: own.pods,
        shadow: shadow.pods,
        baseline: baseline.pods,
        report,
        judge_problem: judge_problem.map(|problem| problem.message),
        now,
    };
    Ok(Observed { view, targets, recheck })
}

/// Those of the fleet's pods with these labels that are there to stay, by name.
fn find<'a>(live: &'a Live, labels: &[(&str, &str)]) -> Vec<&'a Pod> {
    let over = |pod: &Pod| pods::is_leaving(pod) || pods::is_over(pod);
    let matches = |pod: &Pod| labels.iter().all(|(key, value)| label(pod, key) == Some(*value));
    let all = live.pods.iter().map(Arc::as_ref);
    let mut found: Vec<&Pod> = all.filter(|pod| !over(pod) && matches(pod)).collect();
    found.sort_by_key(|pod| pod.name_any());
    found
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.labels().get(key).map(String::as_str)
}

/// Pods, seen and asked.
#[derive(Default)]
struct Seen {
    pods: Vec<PodView>,
    targets: HashMap<String, Target>,
    /// Some of them are to be asked again.
    restless: Option<Duration>,
}

#[derive(Clone, Copy)]
struct Look<'a> {
    context: &'a Context,
    fleet: &'a Fleet,
    volumes: &'a VolumeTrouble,
    now: Timestamp,
}

impl Look<'_> {
    async fn at(&self, pods: &[&Pod], all: bool, current: impl Fn(&Pod) -> bool) -> Seen {
        let mut seen = Seen::default();
        for pod in pods {
            let view = self.view(pod, current(pod));
            if let Some(target) = self.target(pod) {
                seen.targets.insert(view.uid.clone(), target);
            }
            seen.pods.push(view);
        }
        let questions = seen.pods.iter().map(|pod| self.hear(pod, seen.targets.get(&pod.uid), all));
        let questions: Vec<_> = questions.collect();
        let heard: Vec<Option<Heard>> =
            futures::stream::iter(questions).buffered(CONCURRENCY).collect().await;
        for (pod, heard) in seen.pods.iter_mut().zip(heard) {
            let again = match heard {
                Some(Heard::Said { status, restless, .. }) => {
                    pod.status = Some(*status);
                    restless.then_some(SOON)
                }
                Some(Heard::Nothing { .. }) => Duration::try_from(QUIET).ok(),
                None => None,
            };
            seen.restless = [seen.restless, again].into_iter().flatten().min();
        }
        seen
    }

    /// What a pod says, asked now or remembered.
    async fn hear(&self, pod: &PodView, target: Option<&Target>, all: bool) -> Option<Heard> {
        let (fleet, memory) = (&self.fleet.owner.uid, &self.context.memory);
        let known = memory.heard(fleet, &pod.uid);
        let age = |at: &Timestamp| self.age(*at);
        let ask = match &known {
            None => all || pod.ready,
            Some(Heard::Said { restarts, restless, at, .. }) => {
                *restarts != pod.restarts || ((all || *restless) && age(at) >= FRESH)
            }
            Some(Heard::Nothing { at }) => age(at) >= if all { FRESH } else { QUIET } && (all || pod.ready),
        };
        let Some(target) = target.filter(|_| ask) else { return known };
        let heard = match self.context.pods.status(target).await {
            Ok(status) => {
                let restless = status.task.is_some();
                Heard::Said { status: Box::new(status), restarts: pod.restarts, restless, at: self.now }
            }
            Err(error) => {
                tracing::debug!(pod = pod.name, namespace = self.fleet.namespace, %error, "a pod cannot be asked");
                Heard::Nothing { at: self.now }
            }
        };
        memory.hear(fleet, &pod.uid, heard.clone());
        Some(heard)
    }

    /// What the judge has measured.
    async fn report(&self, judge: Option<&&Pod>) -> Option<Report> {
        let pod = judge.filter(|pod| pods::is_ready(pod))?;
        let (fleet, uid) = (&self.fleet.owner.uid, pod.uid().unwrap_or_default());
        match self.context.memory.reported(fleet, &uid) {
            Some((at, report)) if self.age(at) < FRESH => return report,
            _ => {}
        }
        let report = match self.context.pods.report(&self.target(pod)?).await {
            Ok(report) => Some(report),
            Err(error) => {
                tracing::debug!(fleet = self.fleet.name, namespace = self.fleet.namespace, %error, "no report");
                None
            }
        };
        self.context.memory.report(fleet, &uid, self.now, report.clone());
        report
    }

    /// Also if the clock has gone back meanwhile.
    fn age(&self, at: Timestamp) -> SignedDuration {
        self.now.duration_since(at).abs()
    }

    fn target(&self, pod: &Pod) -> Option<Target> {
        let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
        Some(Target { address, token: self.context.settings.key.token(&self.fleet.owner.uid) })
    }

    fn view(&self, pod: &Pod, current: bool) -> PodView {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let container = statuses.into_iter().flatten().find(|status| status.name == CONTAINER);
        PodView {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            ready: pods::is_ready(pod),
            current,
            status: None,
            restarts: container.map_or(0, |status| status.restart_count.unsigned_abs()),
            problem: pods::trouble(self.fleet, pod, self.volumes, self.now),
        }
    }
}
