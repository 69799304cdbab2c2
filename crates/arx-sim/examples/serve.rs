//! Runs the simulators alone: `serve [--port N] [--scenario S] [--faults SPEC] [--ledger F]
//! [--env-file F] [--seed N] [--tls] [--data-center]`, until its standard input closes.

use std::path::PathBuf;

use arx_sim::{JiraDeployment, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let mut env_file = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--port" => options.port = value()?.parse()?,
            "--seed" => options.seed = value()?.parse()?,
            "--scenario" => options.scenario = value()?.parse()?,
            "--faults" => options.faults = value()?.parse()?,
            "--ledger" => options.ledger = Some(PathBuf::from(value()?)),
            "--env-file" => env_file = Some(PathBuf::from(value()?)),
            "--tls" => options.tls_urls = true,
            "--data-center" => options.jira = JiraDeployment::DataCenter,
            other => return Err(format!("unknown argument `{other}`").into()),
        }
    }
    let simulators = arx_sim::start(options).await?;
    if let Some(path) = env_file {
        simulators.write_env_file(&path)?;
    }
    #[expect(clippy::print_stdout, reason = "its one line of output")]
    {
        println!("{}", simulators.url());
    }
    // Reading on a thread of its own: the end of input is the wish to stop.
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    simulators.shutdown().await;
    Ok(())
}
