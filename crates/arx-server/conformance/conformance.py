"""The API against its own description: conformance.py ARX.

Starts `arx serve --simulate` in a directory of its own, makes a token of an admin, and has
schemathesis send what openapi.json allows and what it does not. The seed is fixed, so that the same
program is asked the same.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ARX = os.path.abspath(sys.argv[1])
SEED, EXAMPLES = "1", "20"


def main():
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "ARX_HOME": home + "/state", "USER": "tester"}

        def arx(*args):
            done = subprocess.run([ARX, *args], env=env, capture_output=True, text=True)
            assert done.returncode == 0, (args, done.stdout, done.stderr)
            return json.loads(done.stdout)

        arx("users", "add", "alice", "--role", "admin", "--json")
        token = arx("tokens", "add", "conformance", "--user", "alice", "--role", "admin",
                    "--expires", "1d", "--json")
        log = open(home + "/log", "w")
        daemon = subprocess.Popen(
            [ARX, "serve", "--simulate", "--listen", "127.0.0.1:0", "--json"],
            env=env, stdout=subprocess.PIPE, stderr=log, text=True,
        )
        try:
            said = ""
            for line in daemon.stdout:
                said += line
                if line.rstrip() == "}":
                    break
            url = json.loads(said)["url"]
            done = subprocess.run(
                [
                    str(pathlib.Path(sys.executable).parent / "schemathesis"),
                    "--config-file", str(pathlib.Path(__file__).with_name("schemathesis.toml")),
                    "run",
                    url + "/api/v1/openapi.json",
                    "--header", "Authorization: Bearer " + token["secret"],
                    "--checks", "all",
                    "--max-examples", EXAMPLES,
                    "--seed", SEED,
                    "--exclude-path-regex", "/events$",
                    "--request-timeout", "20",
                    "--no-color",
                ],
                cwd=home,
            )
        finally:
            daemon.terminate()
            daemon.wait(60)
        if done.returncode != 0:
            print(pathlib.Path(home, "log").read_text()[-4000:])
        sys.exit(done.returncode)


main()
