//! `kubectl ttsfleet`: how the voices of a fleet change, and the words that
//! people have in it.

mod cluster;
mod command;
mod history;
mod order;
mod pods;
mod say;
mod show;
mod status;
mod tree;
mod words;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use cluster::Cluster;
use command::Verb;
use say::Say;

/// Ship voices safely: see how a rollout is doing, say how it goes on, and hear the fleet speak.
#[derive(Debug, Parser)]
#[command(bin_name = "kubectl ttsfleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Namespace of the fleet, instead of the kubeconfig's.
    #[arg(long, short, global = true)]
    namespace: Option<String>,
    /// Context of the kubeconfig, instead of the current one.
    #[arg(long, global = true)]
    context: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a fleet with its pods, its models and what the gates say of a new one.
    Status {
        /// The fleet's name.
        fleet: String,
        /// Show it again whenever it changes, until Ctrl-C.
        #[arg(long, short)]
        watch: bool,
    },
    /// Swap in a candidate that waits to be let in.
    Promote(Target),
    /// Call a rollout off: the pods keep the model that they had, or go back to it.
    Abort(Target),
    /// Try a model once more that was refused, or got no clear answer.
    Retry(Target),
    /// Show how the last rollouts ended.
    History(Target),
    Say(Say),
}

#[derive(Debug, Args)]
struct Target {
    /// The fleet's name.
    fleet: String,
    /// The pool; needed only if several are in question.
    #[arg(long, short)]
    pool: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let cluster = Cluster::reach(cli.namespace, cli.context).await?;
    match cli.command {
        Command::Status { fleet, watch: true } => show::watch(&cluster, &fleet).await,
        Command::Status { fleet, watch: false } => show::once(&cluster, &fleet).await,
        Command::Promote(target) => carry_out(&cluster, Verb::Promote, &target).await,
        Command::Say(say) => say::run(&cluster, say).await,
        Command::Abort(target) => carry_out(&cluster, Verb::Abort, &target).await,
        Command::Retry(target) => carry_out(&cluster, Verb::Retry, &target).await,
        Command::History(target) => {
            let fleet = cluster.fleet(&target.fleet).await?;
            anstream::print!("{}", history::render(&fleet, target.pool.as_deref(), Timestamp::now())?);
            Ok(())
        }
    }
}

/// Writes a command on the fleet and says what follows.
async fn carry_out(cluster: &Cluster, verb: Verb, target: &Target) -> Result<()> {
    let follows = order::give(cluster, verb, &target.fleet, target.pool.as_deref()).await?;
    anstream::println!("{follows}");
    anstream::println!("See it with: kubectl ttsfleet status {} --watch", target.fleet);
    Ok(())
}
