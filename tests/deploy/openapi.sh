#!/usr/bin/env bash
# Asks a running service everything that its own description allows and forbids.
#
# usage: tests/deploy/openapi.sh TRUNKLINE SCHEMATHESIS LOGS
set -euo pipefail
readonly trunkline=$1 schemathesis=$2 logs=$3
readonly token=token-of-the-operators

mkdir -p "$logs"
# Of a run before: its addresses are nobody's.
rm -f "$logs"/openapi.{out,chime}
# Amazon's side of outbound calls: takes every one.
"${schemathesis%/*}/python" -u tests/deploy/chime.py >"$logs/openapi.chime" &
chime=$!
for _ in {1..100}; do
  [[ -s $logs/openapi.chime ]] && break
  sleep 0.1
done
TRUNKLINE__MEDIA__LISTEN=127.0.0.1:0 TRUNKLINE__ADMIN__LISTEN=127.0.0.1:0 TRUNKLINE__ADMIN__TOKEN=$token \
  TRUNKLINE__REALTIME__URL=simulator TRUNKLINE__SMA__REGION=us-east-1 AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing \
  TRUNKLINE__SMA__APPLICATION_ID=00000000-0000-4000-8000-000000000000 \
  TRUNKLINE__SMA__ENDPOINT_URL=$(<"$logs/openapi.chime") TRUNKLINE__SMA__FROM_NUMBER=+15550100001 \
  TRUNKLINE__SMA__VOICE_CONNECTOR_ARN=arn:aws:chime:us-east-1:111122223333:vc/abcdefghijklmnopqrstuv \
  TRUNKLINE__SMA__CREATES_PER_SECOND=1000 \
  "$trunkline" serve >"$logs/openapi.out" 2>"$logs/openapi.log" </dev/null &
# shellcheck disable=SC2064  # the processes that were started here
trap "kill $! $chime 2>/dev/null || true" EXIT
address() { awk -v name="$1" '$1 == "listening" && $2 == name { print $3; exit }' "$logs/openapi.out"; }
for _ in {1..100}; do
  [[ -n $(address admin) ]] && break
  sleep 0.1
done
# A call that lives meanwhile.
"$trunkline" call --url "ws://$(address media)/ingest?to=6001" --call-id c-1 >/dev/null 2>&1 &

# It leaves a folder where it runs.
cd "$logs"
# Left out: the drain would end the service; web sockets answer 101, which no client of this kind reads.
# A page and its parts are several types of content at one path. One worker: CPython 3.11 counts the depth of its parser once
# for all threads, and the tool parses.
"$schemathesis" run "http://$(address admin)/api/openapi.json" \
  --header "Authorization: Bearer $token" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth \
  --exclude-path /admin/drain --exclude-path /admin/live --exclude-path-regex 'listen$' --exclude-path '/assets/{name}' \
  --max-examples 60 --seed 1 --workers 1 --no-color
