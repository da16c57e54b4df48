"""moto's stand-in for AWS, on a port of the system's choice or the one given; prints it on stdout.

The clock of its queues can be put forward: a message that was taken and not deleted comes again after its visibility
timeout, and no test wants to wait for that. `POST /clock?forward=SECONDS` answers with nothing.
"""

import sys
import urllib.parse

import moto.sqs.models
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

forward_s = 0.0


def put_forward(name, unit):
    """Lets moto's queues read their time `forward_s` late; `unit` of them make a second."""
    clock = getattr(moto.sqs.models, name)
    setattr(moto.sqs.models, name, lambda *given: clock(*given) + forward_s * unit)


def with_clock(application):
    """`application`, and beside it the one address that puts the clock forward."""

    def answer(environ, start_response):
        if environ["PATH_INFO"] != "/clock":
            return application(environ, start_response)
        global forward_s
        forward_s += float(urllib.parse.parse_qs(environ["QUERY_STRING"])["forward"][0])
        start_response("204 No Content", [])
        return []

    return answer


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    put_forward("unix_time", 1)
    put_forward("unix_time_millis", 1000)
    application = with_clock(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
