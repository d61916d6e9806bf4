#!/bin/sh
# Takes Ebbtide off its engine before it is uninstalled: its agents end, as if an admin had ended each, and GoCD is told;
# then, when the server is gone, what is left is reaped.
#   drain.sh agents URL          ends all agents of the server at URL and waits until there are none; the token is in
#                                EBBTIDE_TOKEN or in the file that EBBTIDE_TOKEN_FILE names
#   drain.sh scale-down API NAMESPACE DEPLOYMENT
#                                of Kubernetes: no replica of the deployment any more, by the pod's service account
#   drain.sh engine URI          ebbtide reap --all on the engine; EBBTIDE_SERVER_ID says whose. Only when no server runs
# Needs curl and jq, and for `engine` the program. Each waits at most DRAIN_SECONDS (300) and can be run again.
set -eu

seconds=${DRAIN_SECONDS:-300}
token=${EBBTIDE_TOKEN:-}
[ -n "$token" ] || [ -z "${EBBTIDE_TOKEN_FILE:-}" ] || token=$(cat "$EBBTIDE_TOKEN_FILE")
ends=$(($(date +%s) + seconds))
in_time() { [ "$(date +%s)" -lt "$ends" ]; }

# The token goes in by a file, so that no list of processes shows it.
ask() { printf 'header = "Authorization: Bearer %s"\n' "$token" | curl -fsS --max-time 30 -K - "$@"; }

agents() {
  while in_time; do
    ids=$(ask "$1/api/v1/agents" | jq -r '.[].id') || return 1
    if [ -z "$ids" ]; then
      echo "no agents are left"
      return 0
    fi
    echo "ending $(echo "$ids" | wc -l) agents"
    for id in $ids; do
      # One that is ending already can't be ended again.
      ask -o /dev/null -X POST -H 'X-Ebbtide-Action: end' "$1/api/v1/agents/$id/end" 2>/dev/null || true
    done
    sleep 2
  done
  echo "agents are left after $seconds s: see the status page" >&2
  return 1
}

scale_down() {
  account=/var/run/secrets/kubernetes.io/serviceaccount
  token=$(cat "$account/token")
  api="$1/apis/apps/v1/namespaces/$2/deployments/$3"
  ask -o /dev/null --cacert "$account/ca.crt" -X PATCH -H 'Content-Type: application/merge-patch+json' \
    -d '{"spec":{"replicas":0}}' "$api/scale"
  while in_time; do
    left=$(ask --cacert "$account/ca.crt" "$api" | jq -r '.status.replicas // 0') || return 1
    [ "$left" != 0 ] || return 0
    sleep 2
  done
  echo "the server still runs after $seconds s" >&2
  return 1
}

case ${1:-} in
  agents) agents "${2%/}" ;;
  scale-down) scale_down "$2" "$3" "$4" ;;
  engine) exec ebbtide reap --all --engine "$2" ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
