#!/usr/bin/env bash
# boto3 1.44.5 (botocore 1.44.5): a redirect from an S3 endpoint is not followed, and not reported.
#
# An endpoint that answers 301, 302 or 307 to every request (a load balancer that moved, http where
# https is wanted) names the new address in Location. A guess would be one ClientError with that
# status. Seen instead: botocore takes the answer for "the bucket is in another region", asks with
# HeadBucket where it is, is redirected again, asks again, and ends in a RecursionError after more
# than 50 requests, none of them to the address that Location names.
set -euo pipefail
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install boto3==1.44.5 botocore==1.44.5
"$work/venv/bin/python" - <<'PROGRAM'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

answers = {"requests": 0, "status": 307}
followed = []


class Moved(BaseHTTPRequestHandler):
    def answer(self):
        answers["requests"] += 1
        self.send_response(answers["status"])
        self.send_header("Location", f"http://127.0.0.1:{target.server_port}/moved")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = answer

    def log_message(self, *words):
        pass


class Target(BaseHTTPRequestHandler):
    def do_GET(self):
        followed.append(self.path)
        self.send_error(404)

    do_HEAD = do_PUT = do_GET

    def log_message(self, *words):
        pass


servers = [ThreadingHTTPServer(("127.0.0.1", 0), each) for each in (Moved, Target)]
moved, target = servers
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()

s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{moved.server_port}",
    region_name="us-east-1",
    aws_access_key_id="example",
    aws_secret_access_key="example",
    config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
)
for status in (301, 302, 307):
    answers.update(requests=0, status=status)
    try:
        s3.list_objects_v2(Bucket="backups")
        seen = "no error"
    except ClientError as error:
        seen = f"ClientError {error.response['Error']['Code']}"
    except RecursionError:
        seen = "RecursionError"
    print(f"{status}: {seen} after {answers['requests']} requests, {len(followed)} to the new address")
    assert seen == "RecursionError" and answers["requests"] > 50 and not followed
PROGRAM
echo "as described"
