"""Starts the simulators, drives every client against them, and stops them again.

    python run.py COMMAND…

COMMAND starts the simulators and takes `--env-file F`, e.g. `target/release/arx sim`.
The clients are those of requirements.txt.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
CHECKS = [
    "check_wiz.py",
    "check_qualys.py",
    "check_pagerduty.py",
    "check_jira.py",
    "check_crowdstrike.py",
    "check_servicenow.py",
]
START_SECONDS_MAX = 30


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as directory:
        env = pathlib.Path(directory) / "sims.env"
        command = [*sys.argv[1:], "--env-file", str(env)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE)
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            # The certificate is written first and the env file last.
            while not env.exists():
                if server.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the simulators did not start")
                time.sleep(0.05)
            for check in CHECKS:
                done = subprocess.run([sys.executable, str(HERE / check), str(env)], timeout=300)
                if done.returncode != 0:
                    sys.exit(f"{check} failed")
        finally:
            server.terminate()
            server.wait(timeout=10)


main()
