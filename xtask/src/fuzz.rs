//! Fuzzing: every target of `fuzz/`, first on its kept corpus, then on what libFuzzer makes of it.
//!
//! What `cargo fuzz` does needs a nightly compiler for its sanitizers alone. The coverage that
//! guides the fuzzer is an LLVM pass that the stable compiler has too, and the product forbids
//! unsafe code, so that nothing is lost without the sanitizers. The layout is that of `cargo fuzz`,
//! which runs the same targets: `cargo fuzz run --sanitizer none <target>`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::SCRATCH;
use crate::run::{output, run, run_env};

const TARGETS: &str = "fuzz/fuzz_targets";
const CORPUS: &str = "fuzz/corpus";
const DICTIONARIES: &str = "fuzz/dictionaries";
const ARTIFACTS: &str = "fuzz/artifacts";
const MANIFEST: &str = "fuzz/Cargo.toml";

/// Inputs per target, unless said otherwise: seconds for the quick targets and minutes for the slow
/// ones. A count and not a time, so that the same code draws the same inputs on any machine.
const INPUTS_DEFAULT: u32 = 100_000;
/// Targets that run at once.
const JOBS: usize = 2;
/// Every run draws the same numbers, so that what one found the next finds too.
const SEED_DEFAULT: u32 = 1;
/// Longest input in bytes; what parsers do with more is the business of their own limits' tests.
const INPUT_BYTES_MAX: u32 = 8192;
/// Longest time for one input.
const INPUT_SECONDS_MAX: u32 = 10;
/// Inputs of one target that are kept at a time, so that the corpus stays small enough for a
/// repository; a fuzzer finds the rest again in seconds.
const KEPT_MAX: usize = 24;
/// Most memory of one target, far above what any parser may need for such inputs.
const MEMORY_MB_MAX: u32 = 2048;

/// What `cargo fuzz build --sanitizer none` sets.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";

pub(crate) const HELP: &str = "\
usage: cargo xtask fuzz [<target>…] [--seconds N] [--input FILE] [--keep]

  --seconds N    fuzz each target for N seconds, not for 100,000 inputs; 0 runs the kept corpus alone
  --seed N       draw other inputs (1)
  --input FILE   run one target on one input, such as one that it failed on
  --keep         then add the best of what was found to the kept corpus
";

/// What the command line asks for.
#[derive(Default)]
struct Options {
    targets: Vec<String>,
    seconds: Option<u32>,
    seed: Option<u32>,
    input: Option<PathBuf>,
    keep: bool,
}

/// Runs what the arguments ask for.
pub(crate) fn fuzz(args: &[String]) -> Result<()> {
    let options = Options::read(args)?;
    run("cargo", &["fmt", "--manifest-path", MANIFEST, "--check"])?;
    let programs = build(&options.targets)?;
    if let Some(input) = &options.input {
        let [target] = options.targets.as_slice() else { bail!("`--input` is for one target") };
        return run(&programs.join(target).to_string_lossy(), &[&input.to_string_lossy()]);
    }
    let samples = samples()?;
    let waiting: Mutex<VecDeque<&String>> = Mutex::new(options.targets.iter().collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let seed = options.seed.unwrap_or(SEED_DEFAULT);
    let worker = || {
        let mut failed = Vec::new();
        while let Some(target) = next() {
            let place = Place::of(target, seed, &programs, &samples);
            let ran = place.fuzz(options.seconds).and_then(|()| place.keep(options.keep));
            if let Err(error) = ran {
                println!("{error:#}");
                failed.push(target.as_str());
            }
        }
        failed
    };
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..JOBS).map(|_| scope.spawn(worker)).collect();
        let failed = workers.into_iter().map(|worker| worker.join().unwrap_or(vec!["a worker"]));
        failed.flatten().collect()
    });
    if !failed.is_empty() {
        bail!("the fuzzer found something in {}", failed.join(", "));
    }
    Ok(())
}

impl Options {
    fn read(args: &[String]) -> Result<Self> {
        let known = targets()?;
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seconds" => options.seconds = Some(number(arg, args.next())?),
                "--seed" => options.seed = Some(number(arg, args.next())?),
                "--input" => {
                    options.input = Some(args.next().context("`--input` needs a file")?.into());
                }
                "--keep" => options.keep = true,
                target if known.iter().any(|known| known == target) => {
                    options.targets.push(target.to_owned());
                }
                other => bail!("there is no target `{other}`\n\n{HELP}\n{}", known.join("\n")),
            }
        }
        if options.targets.is_empty() {
            options.targets = known;
        }
        Ok(options)
    }
}

fn number(option: &str, value: Option<&String>) -> Result<u32> {
    let needed = || format!("`{option}` needs a number");
    value.with_context(needed)?.parse().with_context(needed)
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(TARGETS).context("no fuzz targets")? {
        let path = file?.path();
        if let (Some(name), true) = (path.file_stem(), path.extension().is_some_and(|e| e == "rs"))
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds targets; the directory that their programs are in.
#[expect(clippy::disallowed_methods, reason = "cargo reads the same variable")]
fn build(targets: &[String]) -> Result<PathBuf> {
    let version = output("rustc", &["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not name its host")?;
    let mut args = vec!["build", "--release", "--locked", "--manifest-path", MANIFEST];
    // With a target named, build scripts and macros are built without the flags.
    args.extend(["--target", host]);
    args.extend(targets.iter().flat_map(|target| ["--bin", target]));
    run_env("cargo", &args, &[("RUSTFLAGS", RUSTFLAGS.to_owned())])?;
    let built = std::env::var_os("CARGO_TARGET_DIR");
    let built = built.map_or_else(|| PathBuf::from("fuzz/target"), PathBuf::from);
    Ok(built.join(host).join("release"))
}

/// Recorded replies of vendors as further inputs, where there are any; never kept.
#[expect(clippy::disallowed_methods, reason = "tests read the same variable")]
fn samples() -> Result<Vec<Vec<u8>>> {
    let given = std::env::var_os("ARX_SAMPLES").map(PathBuf::from);
    let path = given.unwrap_or_else(|| PathBuf::from("../shared/samples"));
    let mut bodies = Vec::new();
    let Ok(vendors) = fs::read_dir(path) else { return Ok(bodies) };
    for file in vendors.flatten().filter_map(|vendor| fs::read_dir(vendor.path()).ok()).flatten() {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "har") {
            continue;
        }
        let recording: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        let entries = recording.pointer("/log/entries").and_then(|entries| entries.as_array());
        for entry in entries.into_iter().flatten() {
            let body = entry.pointer("/response/content/text").and_then(|text| text.as_str());
            bodies.extend(body.map(|body| body.as_bytes().to_vec()));
        }
    }
    Ok(bodies)
}

/// Where one target's program is, and where it reads and writes.
struct Place<'a> {
    target: &'a str,
    seed: u32,
    program: PathBuf,
    kept: PathBuf,
    /// Inputs that this run found, and the recorded ones.
    found: PathBuf,
    log: PathBuf,
    artifacts: PathBuf,
    samples: &'a [Vec<u8>],
}

impl<'a> Place<'a> {
    fn of(target: &'a str, seed: u32, programs: &Path, samples: &'a [Vec<u8>]) -> Self {
        let scratch = Path::new(SCRATCH).join("fuzz");
        Self {
            target,
            seed,
            program: programs.join(target),
            kept: Path::new(CORPUS).join(target),
            found: scratch.join(target),
            log: scratch.join(format!("{target}.log")),
            artifacts: Path::new(ARTIFACTS).join(target),
            samples,
        }
    }

    fn fuzz(&self, seconds: Option<u32>) -> Result<()> {
        for directory in [&self.kept, &self.found, &self.artifacts] {
            fs::create_dir_all(directory)?;
        }
        for (n, sample) in self.samples.iter().enumerate() {
            fs::write(self.found.join(format!("sample-{n}")), sample)?;
        }
        let mut args = self.limits();
        args.push("-print_final_stats=1".to_owned());
        args.push(match seconds {
            Some(0) => "-runs=0".to_owned(),
            Some(seconds) => format!("-max_total_time={seconds}"),
            None => format!("-runs={INPUTS_DEFAULT}"),
        });
        let dictionary = Path::new(DICTIONARIES).join(format!("{}.dict", self.target));
        if dictionary.exists() {
            args.push(format!("-dict={}", dictionary.display()));
        }
        let ended = self.start(&args, &[&self.found, &self.kept])?;
        let log = fs::read(&self.log)?;
        let log = String::from_utf8_lossy(&log);
        if ended {
            println!("{:22} {}", self.target, summary(&log));
            return Ok(());
        }
        let end = log.lines().skip_while(|line| !is_finding(line)).take(20);
        let end = end.collect::<Vec<_>>().join("\n");
        let input = log.lines().find_map(|line| line.split("Test unit written to ").nth(1));
        let again = match input {
            Some(file) => format!("cargo xtask fuzz {} --input {file}", self.target),
            None => format!("cargo xtask fuzz {}", self.target),
        };
        bail!("{}: a finding\n{end}\nreproduce it: {again}", self.target)
    }

    /// Adds to the kept corpus what reaches most of the code that it does not reach, as few inputs
    /// as can be. Recorded replies stay where they are.
    fn keep(&self, wanted: bool) -> Result<()> {
        if !wanted {
            return Ok(());
        }
        for n in 0..self.samples.len() {
            fs::remove_file(self.found.join(format!("sample-{n}")))?;
        }
        let merged = self.found.with_extension("merged");
        // A merge that was broken off left it there.
        let _ = fs::remove_dir_all(&merged);
        fs::create_dir_all(&merged)?;
        for file in fs::read_dir(&self.kept)? {
            let file = file?;
            fs::copy(file.path(), merged.join(file.file_name()))?;
        }
        let mut args = self.limits();
        args.extend(["-set_cover_merge=1", "-use_counters=0"].map(str::to_owned));
        if !self.start(&args, &[&merged, &self.found])? {
            bail!("{}: the merge failed, see {}", self.target, self.log.display());
        }
        // They were written in the order of how much each adds.
        let mut added = Vec::new();
        for file in fs::read_dir(&merged)? {
            let file = file?;
            if !self.kept.join(file.file_name()).exists() {
                added.push((file.metadata()?.modified()?, file.path(), file.file_name()));
            }
        }
        added.sort();
        for (_, path, name) in added.into_iter().take(KEPT_MAX) {
            fs::copy(path, self.kept.join(name))?;
        }
        Ok(fs::remove_dir_all(&merged)?)
    }

    fn limits(&self) -> Vec<String> {
        vec![
            format!("-seed={}", self.seed),
            format!("-max_len={INPUT_BYTES_MAX}"),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MB_MAX}"),
            format!("-artifact_prefix={}/", self.artifacts.display()),
        ]
    }

    /// Runs the target's program, which tells its log how it goes; whether it ended well.
    fn start(&self, args: &[String], corpora: &[&PathBuf]) -> Result<bool> {
        let log = File::create(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(args).args(corpora).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        // A target that keeps a journal leaves it behind: libFuzzer ends without cleaning up.
        let scratch = self.found.with_extension("tmp");
        fs::create_dir_all(&scratch)?;
        let status = command.env("TMPDIR", &scratch).status();
        fs::remove_dir_all(&scratch)?;
        let status = status.with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(status.success())
    }
}

fn is_finding(line: &str) -> bool {
    line.contains("panicked at") || line.contains("ERROR: libFuzzer")
}

/// What a run came to: how many inputs, how much of the code, and how many inputs were kept.
fn summary(log: &str) -> String {
    let stat = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or("?").to_owned()
    };
    let is_progress = |line: &&str| line.starts_with('#') && line.contains("cov:");
    let last = log.lines().rfind(is_progress).unwrap_or_default();
    let words: Vec<&str> = last.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)).copied().unwrap_or("?")
    };
    format!(
        "{:>10} inputs, {:>6} edges, corpus {:>12}, {:>5} MB",
        stat("stat::number_of_executed_units:"),
        after("cov:"),
        after("corp:"),
        stat("stat::peak_rss_mb:"),
    )
}
