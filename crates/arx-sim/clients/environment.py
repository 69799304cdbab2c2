"""The environment that the simulators wrote, made ready for clients that insist on https."""

import os
import pathlib
import sys


def load():
    """Reads the env file named on the command line into os.environ, with https addresses."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {pathlib.Path(sys.argv[0]).name} ENV_FILE")
    path = pathlib.Path(sys.argv[1]).absolute()
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        found[name] = value.strip("'").replace("http://127.0.0.1", "https://127.0.0.1")
    found.setdefault("SSL_CERT_FILE", f"{path}.ca.pem")
    # Every HTTP library has its own name for the file of trusted certificates.
    found["REQUESTS_CA_BUNDLE"] = found["SSL_CERT_FILE"]
    os.environ.update(found)
    return found
