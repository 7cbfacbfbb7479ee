"""The other way to start the stand-in, as in vLLM's build for processors."""

import sys

from vllm.entrypoints.cli.main import main

assert sys.argv[1] == "--model", sys.argv
main(sys.argv[2:])
