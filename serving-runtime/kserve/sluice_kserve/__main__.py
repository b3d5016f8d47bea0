"""`python -m sluice_kserve --model-name NAME [--model-path /models] [options of kserve's server]`.

The folder has model.py, with one class derived from kserve.Model; it is created with the served name, and loaded before
the port opens. It may use other files of the folder, `Path(__file__).parent`.
"""

import argparse
import sys

import kserve
from kserve import model_server

from sluice_kserve import predictor


def main():
    parser = argparse.ArgumentParser(prog="sluice_kserve", parents=[model_server.parser], conflict_handler="resolve")
    parser.add_argument("--model-name", required=True, help="the served name")
    parser.add_argument("--model-path", default="/models", help="the folder with model.py")
    options, _ = parser.parse_known_args()
    try:
        model = predictor.load(options.model_path, options.model_name)
    except predictor.NotLoadable as error:
        return str(error)
    kserve.ModelServer(http_port=options.http_port, grpc_port=options.grpc_port, workers=1).start([model])
    return 0


if __name__ == "__main__":
    sys.exit(main())
