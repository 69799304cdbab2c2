"""Runs ARX and its peer through the same faults and prints one table of what came of them.

    python run.py --arx target/release/arx --seed 7

Every case has simulators, a state directory and a ledger of its own below a temporary directory.
Both sides get the same scenario, the same faults and the same seeds, and are started again until
they say that they are done, as a scheduler would.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import requests

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUNDLE = ROOT / "library/workflows/critical-vuln-escalation"

DAY = "2026-11-15"
FINDINGS_PER_CVE = 5
ASSETS = 200
# Most times that a job is started until it says that it is done.
STARTS_MAX = 4
START_SECONDS_MAX = 420.0
SIMULATORS_SECONDS_MAX = 20.0
KILLS_PER_RUN = 3
# Pages whose reply is lost before the crash that a human uses to resolve them.
RESOLVED = 5
# What ARX asks a human for beyond 50 pages an hour; the peer has no such limit, so here is none.
PAGES_LIMIT = "max: 50,"
PAGES_LIMIT_LIFTED = "max: 100000,"

LOST_REPLY = "pagerduty.incidents.create:drop-after%5,jira.issues.create:drop-after%5"
LATE_ERROR = "pagerduty.incidents.create:500-after%5,jira.issues.create:500-after%5"
LAG = "jira:lag=10s"

CVE = re.compile(r"CVE-\d+-\d+")
KINDS = {"incidents.create": "page", "issues.create": "ticket"}
Effect = tuple[str, str]


# Processes


def start(
    command: list[str], environment: dict[str, str], log: Path, directory: Path
) -> subprocess.Popen[bytes]:
    """A process in a group of its own; what it prints goes to files beside `log`."""
    with open(log.with_suffix(".out"), "wb") as out, open(log.with_suffix(".err"), "wb") as err:
        return subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **environment},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9, and the same for what it left behind."""
    if process.poll() is None:
        process.kill()
    process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit code, or nothing if it had to be killed."""
    try:
        return process.wait(timeout=START_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None
    finally:
        kill(process)


# Simulators and their ledger


@dataclass
class World:
    """One company under scan, with its vendors."""

    directory: Path
    environment: dict[str, str]
    cves: int

    def pages_and_tickets(self) -> list[tuple[Effect, str]]:
        """Every page and ticket in the ledger, in order, with the vendor's id."""
        effects = []
        ledger = self.directory / "ledger.jsonl"
        for line in ledger.read_bytes().splitlines(keepends=True) if ledger.exists() else []:
            if not line.endswith(b"\n"):
                break
            entry = json.loads(line)
            kind = KINDS.get(entry["operation"])
            found = CVE.search(entry["title"])
            if kind and found:
                effects.append(((found.group(), kind), entry["id"]))
        return effects

    def intended(self) -> set[Effect]:
        names = [f"CVE-2099-{n:05}" for n in range(1, self.cves + 1)]
        return {(name, kind) for name in names for kind in KINDS.values()}

    def wait_for_writes(
        self, kind: bytes, count: int, process: subprocess.Popen[bytes], seconds_max: float
    ) -> None:
        """Returns when the ledger has so many of a kind, or the process is done."""
        until = time.monotonic() + seconds_max
        seen, tail = 0, b""
        ledger = self.directory / "ledger.jsonl"
        while not ledger.exists() and time.monotonic() < until:
            time.sleep(0.001)
        with open(ledger, "rb") as reader:
            while process.poll() is None and time.monotonic() < until:
                text = tail + reader.read()
                lines = text.split(b"\n")
                tail = lines.pop()
                seen += sum(kind in line for line in lines)
                if seen >= count:
                    return
                time.sleep(0.001)

    def resolve(self, incident: str) -> None:
        """A human resolves an incident."""
        response = requests.put(
            f"{self.environment['PAGERDUTY_API_URL']}/incidents/{incident}",
            json={"incident": {"type": "incident_reference", "status": "resolved"}},
            headers={
                "Authorization": f"Token token={self.environment['PAGERDUTY_API_KEY']}",
                "Accept": "application/vnd.pagerduty+json;version=2",
                "From": self.environment["PAGERDUTY_FROM_EMAIL"],
            },
            timeout=30,
        )
        response.raise_for_status()


@contextmanager
def simulators(arx: Path, directory: Path, cves: int, faults: str, seed: int) -> Iterator[World]:
    findings = cves * FINDINGS_PER_CVE
    scenario = f"generated:seed={seed},findings={findings},cves={cves},assets={ASSETS}"
    file = directory / "sim.env"
    command = [str(arx), "sim", "--env-file", str(file), "--scenario", scenario]
    command += ["--ledger", str(directory / "ledger.jsonl"), "--seed", str(seed)]
    command += ["--faults", faults]
    process = start(command, {}, directory / "sim", directory)
    try:
        yield World(directory, environment_of(file, process), cves)
    finally:
        kill(process)


def environment_of(file: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    """The variables that a client needs, once the simulators listen."""
    until = time.monotonic() + SIMULATORS_SECONDS_MAX
    while time.monotonic() < until and process.poll() is None:
        if file.exists():
            lines = file.read_text().splitlines()
            variables = dict(line.split("=", 1) for line in lines if "=" in line)
            variables = {name: value.strip("'") for name, value in variables.items()}
            try:
                requests.get(variables["JIRA_URL"], timeout=5)
                return variables
            except (KeyError, requests.ConnectionError):
                pass
        time.sleep(0.05)
    raise RuntimeError(f"the simulators did not start; see {file.parent}")


# The two sides


class Arx:
    name = "ARX"

    def __init__(self, arx: Path) -> None:
        self.arx = arx

    def start(self, world: World, number: int) -> subprocess.Popen[bytes]:
        bundle = world.directory / "bundle"
        if not bundle.exists():
            shutil.copytree(BUNDLE, bundle)
            text = (bundle / "arx.yaml").read_text()
            assert PAGES_LIMIT in text, "the limit on pages reads otherwise now"
            (bundle / "arx.yaml").write_text(text.replace(PAGES_LIMIT, PAGES_LIMIT_LIFTED))
        # One page for each CVE, and no second scanner: what the peer does.
        command = [*self._command(world), "run", str(bundle)]
        command += ["--set", "storm_threshold=null", "--set", "qualys_enabled=false", "--json"]
        return start(command, world.environment, world.directory / f"{number}", world.directory)

    def left(self, world: World, number: int) -> set[Effect]:
        command = [*self._command(world), "effects", "list", "--json"]
        command += ["--state", "attention", "--limit", "100000"]
        listed = subprocess.run(command, capture_output=True, check=True, env={}, timeout=60)
        keys = [effect["effect"].split("/") for effect in json.loads(listed.stdout)["effects"]]
        return {(key[1], key[3]) for key in keys}

    def _command(self, world: World) -> list[str]:
        return [str(self.arx), "--state-dir", str(world.directory / "state")]


class Dbos:
    name = "DBOS"

    def __init__(self, database: str | None) -> None:
        self.database = database

    def start(self, world: World, number: int, executor: str = "one") -> subprocess.Popen[bytes]:
        environment = {
            **world.environment,
            "DBOS_SYSTEM_DATABASE_URL": self._database(world),
            "EXECUTOR_ID": executor,
        }
        command = [sys.executable, str(HERE / "escalation.py"), "--day", DAY]
        return start(command, environment, world.directory / f"{number}", world.directory)

    def left(self, world: World, number: int) -> set[Effect]:
        lines = (world.directory / f"{number}.out").read_text().splitlines()
        if not lines:
            return set()
        failed = json.loads(lines[-1])["failed"]
        done = {effect for effect, _ in world.pages_and_tickets()}
        return {(cve, kind) for cve in failed for kind in KINDS.values()} - done

    def _database(self, world: World) -> str:
        if self.database:
            name = hashlib.sha256(str(world.directory).encode()).hexdigest()[:16]
            return f"{self.database.rstrip('/')}/peer_{name}"
        return f"sqlite:///{world.directory / 'dbos.sqlite'}"


Side = Arx | Dbos


# What is done to them


@dataclass
class Job:
    """Starts of one side in one world; each has a number."""

    side: Side
    world: World
    random: random.Random
    starts: int = 0
    seconds: float = 0.0
    timed_out: bool = False

    def start(self, **arguments: str) -> subprocess.Popen[bytes]:
        self.starts += 1
        return self.side.start(self.world, self.starts, **arguments)

    def finish(self) -> None:
        """Starts it until it says that it is done."""
        for _ in range(STARTS_MAX):
            began = time.monotonic()
            code = end(self.start())
            self.seconds += time.monotonic() - began
            self.timed_out = self.timed_out or code is None
            if code == 0:
                return


def undisturbed(job: Job) -> None:
    job.finish()


def killed(job: Job) -> None:
    """Killed some milliseconds after writes that the seed chooses."""
    total = 2 * job.world.cves
    for count in sorted(job.random.sample(range(1, total), KILLS_PER_RUN)):
        delay = job.random.uniform(0, 0.05)
        process = job.start()
        job.world.wait_for_writes(b".create", count, process, START_SECONDS_MAX)
        time.sleep(delay)
        kill(process)
    job.finish()


def killed_in_recovery(job: Job) -> None:
    """Killed in the middle, and then twice while it recovers."""
    count = job.random.randrange(job.world.cves // 2, job.world.cves)
    delays = [job.random.uniform(0.3, 3.0) for _ in range(2)]
    process = job.start()
    job.world.wait_for_writes(b".create", count, process, START_SECONDS_MAX)
    kill(process)
    for delay in delays:
        process = job.start()
        time.sleep(delay)
        kill(process)
    job.finish()


def resolved_between(job: Job) -> None:
    """Killed when the replies of some pages were lost, which a human resolves before the restart."""
    last = job.world.cves // 2 + RESOLVED - 1
    process = job.start()
    job.world.wait_for_writes(b'"incidents.create"', last, process, START_SECONDS_MAX)
    kill(process)
    pages = [id for (_, kind), id in job.world.pages_and_tickets() if kind == "page"]
    for incident in pages[last - RESOLVED : last]:
        job.world.resolve(incident)
    job.finish()


def twice(job: Job) -> None:
    """Two processes at once. A process of DBOS has an executor id of its own, as it asks for."""
    if isinstance(job.side, Dbos):
        processes = [job.start(executor="one"), job.start(executor="two")]
    else:
        processes = [job.start(), job.start()]
    for process in processes:
        job.timed_out = end(process) is None or job.timed_out
    job.finish()


@dataclass(frozen=True)
class Row:
    name: str
    faults: str | Callable[[int], str] = ""
    play: Callable[[Job], None] = undisturbed
    is_repeated: bool = False


ROWS = [
    Row("no fault"),
    Row("latency", "latency=200ms%10"),
    Row("429 storm", "429=1%10"),
    Row("500 before commit", "500%5"),
    Row("503 burst", "503@50x30"),
    Row("reset before commit", "reset%5"),
    Row("reply lost after commit", LOST_REPLY),
    Row("500 after commit", LATE_ERROR),
    Row("truncated body", "truncate%5"),
    Row("token expired in mid-paging", "wiz:expire-token@3"),
    Row("search index lagging (Jira), replies lost", f"{LAG},{LOST_REPLY}"),
    Row(
        "incident resolved by a human between crash and retry",
        lambda cves: f"pagerduty.incidents.create:drop-after@{cves // 2}x{RESOLVED}",
        resolved_between,
    ),
    Row("`kill -9` at random instants", "", killed, is_repeated=True),
    Row("`kill -9`, search index lagging (Jira)", LAG, killed, is_repeated=True),
    Row("kill during recovery", "", killed_in_recovery, is_repeated=True),
    Row("two processes started at once", "", twice),
]


# Results


@dataclass
class Result:
    row: str
    side: str
    runs: int = 0
    intended: int = 0
    ledgers: int = 0
    duplicated: int = 0
    lost: int = 0
    left: int = 0
    timed_out: int = 0
    seconds: float = 0.0
    duplicates: list[str] = field(default_factory=list)

    def add(self, job: Job) -> None:
        counts = Counter(effect for effect, _ in job.world.pages_and_tickets())
        intended = job.world.intended()
        left = job.side.left(job.world, job.starts)
        twice = {effect: count for effect, count in counts.items() if count > 1}
        self.runs += 1
        self.intended += len(intended)
        self.ledgers += counts.total()
        self.duplicated += sum(count - 1 for count in twice.values())
        self.lost += len(intended - set(counts) - left)
        self.left += len(left)
        self.timed_out += job.timed_out
        self.seconds += job.seconds
        self.duplicates += [" ".join(effect) for effect in sorted(twice)]

    def line(self) -> str:
        counts = f"{self.ledgers} of {self.intended} in the ledgers, {self.duplicated} duplicated"
        rest = f"{self.lost} lost, {self.left} left for a human, {self.seconds:.1f} s"
        return f"{self.row}, {self.side}: {counts}, {rest}"


def run_case(row: Row, side: Side, arx: Path, scratch: Path, cves: int, seed: int) -> Job:
    name = re.sub(r"[^a-z0-9]+", "-", f"{row.name} {side.name} {seed}".lower()).strip("-")
    directory = scratch / name
    directory.mkdir()
    faults = row.faults if isinstance(row.faults, str) else row.faults(cves)
    with simulators(arx, directory, cves, faults, seed) as world:
        job = Job(side, world, random.Random(seed))
        row.play(job)
    return job


def table(results: list[Result], sides: list[str]) -> str:
    columns = ["in ledgers", "duplicated", "lost", "left for a human"]
    head = ["fault", "runs", "intended"]
    head += [f"{side}: {column}" for side in sides for column in columns]
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|---|" + "--:|" * (len(head) - 1))
    for row in dict.fromkeys(result.row for result in results):
        cells = {result.side: result for result in results if result.row == row}
        first = next(iter(cells.values()))
        line = [row, str(first.runs), str(first.intended)]
        for side in sides:
            result = cells[side]
            counts = [result.ledgers, result.duplicated, result.lost, result.left]
            line += [str(count) for count in counts]
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def failures(results: list[Result]) -> list[str]:
    """What must not be: ARX breaking its promise, or a peer that does not run at all."""
    found = []
    for result in results:
        where = f"{result.side}, {result.row}"
        if result.timed_out:
            found.append(f"{where}: timed out")
        if result.side == Arx.name and (result.duplicated or result.lost):
            found.append(f"{where}: {result.duplicated} duplicated, {result.lost} lost")
        if result.row == ROWS[0].name and result.ledgers != result.intended:
            found.append(f"{where}: {result.ledgers} effects for {result.intended} intended")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="ARX and its peer under the same faults")
    parser.add_argument("--arx", type=Path, required=True, help="the binary")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--cves", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3, help="seeds of each row that kills")
    parser.add_argument("--rows", default="", help="only these, or texts in them, by commas")
    parser.add_argument("--sides", default="ARX,DBOS")
    parser.add_argument(
        "--database",
        metavar="postgresql://USER@HOST",
        help="instead of SQLite for DBOS; a database for every case is made there, and left",
    )
    parser.add_argument("--json", type=Path, help="write the results there as well")
    parser.add_argument("--keep", action="store_true", help="keep state and logs")
    arguments = parser.parse_args()
    arx = arguments.arx.resolve()
    every: list[Side] = [Arx(arx), Dbos(arguments.database)]
    sides = [side for side in every if side.name in arguments.sides.split(",")]
    wanted = arguments.rows.split(",")
    rows = [row for row in ROWS if any(text in row.name for text in wanted)]

    scratch = Path(tempfile.mkdtemp(prefix="arx-peers-"))
    results = []
    try:
        for row in rows:
            seeds = range(arguments.seed, arguments.seed + arguments.repeats)
            for side in sides:
                result = Result(row.name, side.name)
                for seed in seeds if row.is_repeated else seeds[:1]:
                    result.add(run_case(row, side, arx, scratch, arguments.cves, seed))
                results.append(result)
                print(result.line(), file=sys.stderr, flush=True)
    finally:
        if arguments.keep:
            print(f"kept {scratch}", file=sys.stderr)
        else:
            shutil.rmtree(scratch, ignore_errors=True)

    print(f"seed {arguments.seed}, {arguments.cves} CVEs, {os.cpu_count()} cores,", end=" ")
    print(f"Python {platform.python_version()}, dbos {version('dbos')}\n")
    print(table(results, [side.name for side in sides]))
    undisturbed = [result for result in results if result.row == ROWS[0].name]
    for result in undisturbed:
        print(f"\n{result.side}: {result.seconds:.1f} s without a fault", end="")
    print()
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(result) for result in results], indent=1))
    wrong = failures(results)
    for text in wrong:
        print(f"error: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
