//! What each subcommand does.

use crate::{
    chain_spec::{self, ChainSpec},
    cli::{Cli, Subcommand},
    parts, ports, service,
};
use assay_runtime::opaque::Block;
use sc_cli::SubstrateCli;
use sc_network::config::NetworkBackendType;
use sc_service::PartialComponents;

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Assay Node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        "Runs a node of an Assay chain.".into()
    }

    fn author() -> String {
        "The Assay developers".into()
    }

    fn support_url() -> String {
        "the project's issue tracker".into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        let spec = match id {
            "dev" | "development" => chain_spec::development()?,
            "" | "local" | "local_testnet" => chain_spec::local_testnet()?,
            "production" if self.only_writes_spec() => chain_spec::production()?,
            "production" => {
                return Err(
                    "`production` is a template without validators: write it with `assay-node \
                     export-chain-spec --chain production`, fill in session.keys, \
                     validators.validators and balances.balances, and start with `--chain FILE`"
                        .into(),
                )
            }
            path => ChainSpec::from_json_file(path.into()).map_err(|error| {
                format!(
                    "no chain `{path}`: give `dev`, `local`, or the path of a chain specification \
                     ({error})"
                )
            })?,
        };
        Ok(Box::new(spec))
    }
}

/// Seconds for which a transaction is refused that the pool has dropped. The SDK's half an hour is for those that are
/// wrong, but the pool bans those too for which it had no room, as when a fork is taken back under load: their senders
/// could not send them again.
const BAN: u64 = 20;

impl Cli {
    fn only_writes_spec(&self) -> bool {
        matches!(
            self.subcommand,
            Some(Subcommand::ExportChainSpec(_) | Subcommand::BuildSpec(_))
        )
    }
}

/// Runs what the command line asks for.
pub fn run() -> sc_cli::Result<()> {
    let mut cli = Cli::from_args();
    if cli.run.tmp {
        // A validator must not lose its network key, but this one's folder is lost anyway.
        let keys = &mut cli.run.network_params.node_key_params;
        keys.unsafe_force_node_key_generation = true;
    }
    if !cli.run.shared_params.is_dev() {
        cli.run.pool_config.tx_ban_seconds.get_or_insert(BAN);
    }

    match &cli.subcommand {
        Some(Subcommand::Key(cmd)) => cmd.run(&cli),
        Some(Subcommand::ExportChainSpec(cmd)) => {
            cmd.run(cli.load_spec(&cmd.chain)?)
                .map_err(|error| match (error, &cmd.output) {
                    (sc_cli::Error::Io(error), Some(path)) => format!(
                        "cannot write {}: {error}; name another --output",
                        path.display()
                    )
                    .into(),
                    (error, _) => error,
                })
        }
        #[allow(deprecated)]
        Some(Subcommand::BuildSpec(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.sync_run(|config| cmd.run(config.chain_spec, config.network))
        }
        Some(Subcommand::CheckBlock(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    import_queue,
                    ..
                } = service::new_partial(&config)?;
                Ok((cmd.run(client, import_queue), task_manager))
            })
        }
        Some(Subcommand::ExportBlocks(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    ..
                } = service::new_partial(&config)?;
                Ok((cmd.run(client, config.database), task_manager))
            })
        }
        Some(Subcommand::ExportState(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    ..
                } = service::new_partial(&config)?;
                Ok((cmd.run(client, config.chain_spec), task_manager))
            })
        }
        Some(Subcommand::ImportBlocks(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    import_queue,
                    ..
                } = service::new_partial(&config)?;
                Ok((cmd.run(client, import_queue), task_manager))
            })
        }
        Some(Subcommand::PurgeChain(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.sync_run(|config| cmd.run(config.database))
        }
        Some(Subcommand::Revert(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    backend,
                    task_manager,
                    ..
                } = service::new_partial(&config)?;
                let revert_consensus = Box::new(
                    |client: std::sync::Arc<parts::FullClient>, backend, blocks| {
                        sc_consensus_babe::revert(client.clone(), backend, blocks)?;
                        sc_consensus_grandpa::revert(client, blocks)?;
                        Ok(())
                    },
                );
                Ok((
                    cmd.run(client, backend, Some(revert_consensus)),
                    task_manager,
                ))
            })
        }
        Some(Subcommand::ChainInfo(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.sync_run(|config| cmd.run::<Block>(&config))
        }
        None => {
            let mut runner = cli.create_runner(&cli.run)?;
            let config = runner.config_mut();
            if !matches!(config.network.network_backend, NetworkBackendType::Litep2p) {
                return Err("this node speaks litep2p only: leave out --network-backend".into());
            }
            ports::claim(config)?;
            runner.run_node_until_exit(|config| async move {
                service::new_full(config).map_err(sc_cli::Error::Service)
            })
        }
    }
}
