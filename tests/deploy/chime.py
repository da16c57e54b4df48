"""The one call of the Chime SDK voice API that rings somebody up: takes every one. Prints its address."""

import http.server
import json


class Chime(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"SipMediaApplicationCall": {"TransactionId": "00000000-0000-4000-8000-000000000001"}}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chime)
    print(f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()
